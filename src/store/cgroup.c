#define _GNU_SOURCE
#include "store/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/pages.h"
#include "store/system.h"

enum { NEEDED = 2 * STORE_BLOCK };

static const char kVersion1[] = ":memory:", kVersion2[] = "0::";

/* False if there is no such file, or no limit in it. */
static bool read_bytes(const char* folder, const char* name, unsigned long* bytes) {
  static char path[4300]; /* threads have small stacks; under the store's lock */
  char text[32], *end;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (!store_read_text(path, text, sizeof text)) return false;
  *bytes = strtoul(text, &end, 10);
  return end != text;
}

/* The group that the line of /proc/PID/cgroup with this in it names, and what follows. */
static const char* group_of(const char* groups, const char* line) {
  const char* group = strstr(groups, line);
  return group ? group + strlen(line) : NULL;
}

/* In that group, and in those that it is in. */
static bool has_room(const char* groups, const char* line, const char* root, const char* limit,
                     const char* usage) {
  static char folder[4200];
  const char* group = group_of(groups, line);
  if (!group) return true;
  const int length = snprintf(folder, sizeof folder, "%s%.*s", root, (int)strcspn(group, "\n"), group);
  for (char* end = folder + (length < (int)sizeof folder ? length : 0); end && end >= folder + strlen(root);
       end = strrchr(folder, '/')) {
    *end = 0; /* on to the group that it is in, the root at last */
    unsigned long most, now;
    if (read_bytes(folder, limit, &most) && read_bytes(folder, usage, &now) &&
        (now > most || most - now < NEEDED))
      return false;
  }
  return true;
}

bool store_has_headroom(void) {
  static char groups[4096];
  if (!store_read_text("/proc/self/cgroup", groups, sizeof groups)) return true;
  return has_room(groups, kVersion2, "/sys/fs/cgroup", "memory.max", "memory.current") &&
         has_room(groups, kVersion1, "/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                  "memory.usage_in_bytes");
}

bool store_same_cgroup(pid_t process) {
  static char path[32], own[4096], other[4096];
  snprintf(path, sizeof path, "/proc/%d/cgroup", (int)process);
  if (!store_read_text("/proc/self/cgroup", own, sizeof own) || !store_read_text(path, other, sizeof other))
    return true;
  const char* line = group_of(own, kVersion1) ? kVersion1 : kVersion2;
  const char *one = group_of(own, line), *two = group_of(other, line);
  if (!one || !two) return true;
  const size_t length = strcspn(one, "\n");
  return length == strcspn(two, "\n") && strncmp(one, two, length) == 0;
}
