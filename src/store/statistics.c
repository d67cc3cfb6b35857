#define _GNU_SOURCE
#include "store/statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "store/system.h"

enum { EVERY_MS = 100 };

samepage_store_stats store_statistics;

static const char* const kNames[SAMEPAGE_STORE_REASONS] = {
    [SAMEPAGE_STORE_OFF] = "off",
    [SAMEPAGE_STORE_SANDBOX] = "sandbox",
    [SAMEPAGE_STORE_RULES] = "rules",
    [SAMEPAGE_STORE_SMALL] = "small",
    [SAMEPAGE_STORE_THREADS] = "threads",
    [SAMEPAGE_STORE_PINNED] = "pinned",
    [SAMEPAGE_STORE_ASYNC_IO] = "async_io",
    [SAMEPAGE_STORE_TRACED] = "traced",
    [SAMEPAGE_STORE_SHARED] = "shared",
    [SAMEPAGE_STORE_LOCKED] = "locked",
    [SAMEPAGE_STORE_PAGEMAP] = "pagemap",
    [SAMEPAGE_STORE_MEMORY_FILE] = "memory_file",
    [SAMEPAGE_STORE_DESCRIPTORS] = "descriptors",
    [SAMEPAGE_STORE_ADDRESS_SPACE] = "address_space",
    [SAMEPAGE_STORE_MAP_COUNT] = "map_count",
    [SAMEPAGE_STORE_MEMORY] = "memory",
    [SAMEPAGE_STORE_HOLDER] = "holder",
    [SAMEPAGE_STORE_CGROUP] = "cgroup",
    [SAMEPAGE_STORE_BUSY] = "busy",
};

const char* samepage_store_reason_name(int reason) {
  return reason >= 0 && reason < SAMEPAGE_STORE_REASONS ? kNames[reason] : NULL;
}

bool store_refuse(samepage_store_reason reason) {
  ++store_statistics.reasons[reason];
  return false;
}

void store_paused_since(int64_t began) {
  const double pause = (double)(store_now_ns() - began) * 1e-9;
  if (pause > store_statistics.longest_pause) store_statistics.longest_pause = pause;
}

struct text {
  char bytes[2048];
  size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text* text, const char* format, ...) {
  va_list values;
  va_start(values, format);
  const int got = vsnprintf(text->bytes + text->length, sizeof text->bytes - text->length, format, values);
  va_end(values);
  if (got > 0) text->length += (size_t)got;
  if (text->length >= sizeof text->bytes) text->length = sizeof text->bytes - 1;
}

/* Whole numbers alone: the locale's decimal point does not belong into JSON. */
static void add_seconds(struct text* text, const char* name, double seconds) {
  const unsigned long us = (unsigned long)(seconds * 1e6);
  add(text, ", \"%s\": %lu.%06lu", name, us / 1000000, us % 1000000);
}

static void describe(struct text* text) {
  const samepage_store_stats* s = &store_statistics;
  const struct {
    const char* name;
    size_t value;
  } numbers[] = {{"sealed", s->sealed},
                 {"published", s->published},
                 {"found", s->found},
                 {"private_before", s->private_before},
                 {"private_after", s->private_after},
                 {"given_back", s->given_back},
                 {"given_up", s->given_up},
                 {"plain_again", s->plain_again},
                 {"huge", s->huge},
                 {"resealed", s->resealed},
                 {"passes", s->passes},
                 {"faults_caused", s->faults_caused}};
  add(text, "{\"pid\": %d", (int)getpid());
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; ++i)
    add(text, ", \"%s\": %zu", numbers[i].name, numbers[i].value);
  add_seconds(text, "seal_seconds", s->seal_seconds);
  add_seconds(text, "pass_seconds", s->pass_seconds);
  add_seconds(text, "longest_pause", s->longest_pause);
  add(text, ", \"reasons\": {");
  const char* comma = "";
  for (int reason = 0; reason < SAMEPAGE_STORE_REASONS; ++reason) {
    if (!s->reasons[reason]) continue;
    add(text, "%s\"%s\": %lu", comma, kNames[reason], s->reasons[reason]);
    comma = ", ";
  }
  add(text, "}}\n");
}

void store_statistics_write(const char* path, bool now) {
  static int64_t last;
  if (!path) return;
  const int64_t time = store_now_ns() / 1000000;
  if (!now && time - last < EVERY_MS) return;
  last = time;
  const int saved = errno;
  static struct text text; /* threads have small stacks */
  text.length = 0;
  describe(&text);
  static char name[4096], fresh[4096];
  const int pid = (int)getpid();
  if (snprintf(name, sizeof name, "%s.%d", path, pid) < (int)sizeof name &&
      snprintf(fresh, sizeof fresh, "%s.%d.new", path, pid) < (int)sizeof fresh) {
    const int fd = (int)store_call(SYS_openat, AT_FDCWD, fresh,
                                   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd >= 0) {
      const bool whole = store_call(SYS_write, fd, text.bytes, text.length) == (long)text.length;
      store_call(SYS_close, fd);
      store_call(whole ? SYS_rename : SYS_unlink, fresh, name);
    }
  }
  errno = saved;
}
