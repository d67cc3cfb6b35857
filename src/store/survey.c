#define _GNU_SOURCE
#include "store/survey.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "store/exempt.h"
#include "store/holder.h"
#include "store/pages.h"
#include "store/procmap.h"
#include "store/system.h"

static size_t number_after(const char* text, const char* name) {
  const char* found = strstr(text, name);
  return found ? strtoul(found + strlen(name), NULL, 10) : 0;
}

/* Of numbers with tabs between, to the end of the line. */
static bool has_several(const char* numbers) {
  return numbers[strcspn(numbers, "\t\n")] == '\t';
}

bool store_survey_process(store_survey* survey) {
  static char text[4096]; /* the store's lock guards it; handlers have small stacks */
  if (!store_read_text("/proc/self/status", text, sizeof text)) return false;
  survey->threads = (unsigned)number_after(text, "\nThreads:");
  survey->pinned = number_after(text, "\nVmPin:") != 0;
  survey->has_locked = number_after(text, "\nVmLck:") != 0;
  survey->traced = number_after(text, "\nTracerPid:") != 0;
  survey->filtered = number_after(text, "\nSeccomp:") != 0;
  const char* numbers = strstr(text, "\nNSpid:\t");
  survey->foreign = numbers && has_several(numbers + sizeof "\nNSpid:");
  survey->address_space = number_after(text, "\nVmSize:") * 1024;
  return survey->threads > 0;
}

static void add_stretch(store_survey* survey, uintptr_t begin, uintptr_t end, bool of_store) {
  const unsigned last = survey->stretch_count - 1;
  if (survey->stretch_count && survey->stretches[last].end == begin &&
      survey->stretches[last].of_store == of_store) {
    survey->stretches[last].end = end;
  } else if (survey->stretch_count < STORE_STRETCHES) {
    survey->stretches[survey->stretch_count].begin = begin;
    survey->stretches[survey->stretch_count].end = end;
    survey->stretches[survey->stretch_count++].of_store = of_store;
  }
}

/* The kernel (5.4 and later) refuses this advice for locked mappings. */
static bool is_locked(uintptr_t page) {
  return store_call(SYS_madvise, page, STORE_PAGE, MADV_COLD) != 0;
}

/* mlockall(MCL_FUTURE); `otherwise`: where that cannot be found out. */
static bool locks_what_is_mapped_anew(bool otherwise) {
  const long page =
      store_call(SYS_mmap, NULL, STORE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == -1) return otherwise;
  const bool locked = is_locked((uintptr_t)page);
  const bool is_known =
      !locked || (store_call(SYS_munlock, page, STORE_PAGE) == 0 && !is_locked((uintptr_t)page));
  store_call(SYS_munmap, page, STORE_PAGE);
  return is_known ? locked : otherwise;
}

/* A mapping that the kernel, or a device, writes to past the page tables. */
static void see_shared(store_survey* survey, const char* name) {
  if (strstr(name, "[aio]") || strstr(name, "[io_uring]")) survey->async_io = true;
  /* Rings of AF_XDP, and devices that are driven from here: their buffers are not all in VmPin. */
  if (strstr(name, "socket:[") || strstr(name, "[vfio") || strstr(name, "/dev/vfio")) survey->pinned = true;
}

/* A private read-write mapping [begin, end), if it is of the constants, which are in [from, to). */
static void see_plain(store_survey* survey, uintptr_t begin, uintptr_t end, const char* name, uintptr_t from,
                      uintptr_t to) {
  if (end <= from || begin >= to) return;
  const bool of_store = strncmp(name, "/memfd:" STORE_FILE_NAME " ", sizeof "/memfd:" STORE_FILE_NAME) == 0;
  if (*name && strncmp(name, "[anon:", 6) != 0 && !of_store) return;
  const uintptr_t first = begin < from ? from : begin;
  const uintptr_t stop = end > to ? to : end;
  uintptr_t last;
  for (uintptr_t next = first; store_exempt_skip(next, stop, &next, &last); next = last) {
    if (survey->has_locked && is_locked(next)) survey->locked = true;
    add_stretch(survey, next, last, of_store);
  }
}

/* One line: 7f00-7f80 rw-p 00000000 00:00 0    [name] */
static void read_line(store_survey* survey, const char* line, uintptr_t from, uintptr_t to) {
  char* at;
  ++survey->maps;
  const uintptr_t begin = strtoul(line, &at, 16), end = strtoul(at + 1, &at, 16);
  const char* name = at;
  for (int field = 0; field < 4; ++field) { /* permissions, offset, device, inode */
    while (*name == ' ') ++name;
    while (*name && *name != ' ') ++name;
  }
  while (*name == ' ') ++name;
  if (at[4] == 's') see_shared(survey, name);
  if (strncmp(at, " rw-p ", 6) == 0) see_plain(survey, begin, end, name, from, to);
}

struct entry { /* getdents64(2) */
  uint64_t inode, next;
  unsigned short length;
  unsigned char type;
  char name[];
};

enum { DESCRIPTORS = 256 }; /* each costs a microsecond */

/* A ring in memory of the program's own (IORING_SETUP_NO_MMAP, Linux 6.5) is no mapping of the kernel's. */
static void see_descriptors(store_survey* survey) {
  static _Alignas(uint64_t) char entries[4096];
  static const char kRing[] = "anon_inode:[io_uring]";
  char target[sizeof kRing];
  const int folder =
      (int)store_call(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  long got;
  int seen = 0;
  while (seen < DESCRIPTORS && (got = store_call(SYS_getdents64, folder, entries, sizeof entries)) > 0)
    for (long at = 0; at < got; ++seen) {
      const struct entry* it = (const struct entry*)(entries + at);
      at += it->length;
      const long length = store_call(SYS_readlinkat, folder, it->name, target, sizeof target);
      if (length == sizeof kRing - 1 && memcmp(target, kRing, sizeof kRing - 1) == 0) survey->async_io = true;
    }
  store_call(SYS_close, folder);
}

/* Of the others only such as are shared, as the rings of AIO, io_uring and sockets are. */
static bool ask_kernel(store_survey* survey, uintptr_t begin, uintptr_t end) {
  const int maps = (int)store_call(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
  store_procmap it = {.end = 0};
  int got = maps < 0 ? -1 : 1;
  while (got > 0 && (got = store_procmap_next(maps, it.end, STORE_SHARED, &it)) > 0)
    see_shared(survey, it.name);
  it.end = begin;
  if (got == 0) got = 1;
  while (got > 0 && it.end < end && (got = store_procmap_next(maps, it.end, STORE_WRITABLE, &it)) > 0)
    if (it.is_plain) see_plain(survey, it.begin, it.end, it.name, begin, end);
  if (maps >= 0) store_call(SYS_close, maps);
  return got >= 0;
}

enum { TEXT = 1 << 16 };

/* Calls `each` with every line of /proc/self/maps, of which `text` holds some; false if it cannot be read. */
static bool for_each_line(char* text, void (*each)(const char* line, void* context), void* context) {
  size_t held = 0;
  const int fd = (int)store_call(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  long got;
  while ((got = store_call(SYS_read, fd, text + held, TEXT - 1 - held)) > 0) {
    held += (size_t)got;
    text[held] = 0;
    char *line = text, *newline;
    while ((newline = strchr(line, '\n'))) {
      *newline = 0;
      each(line, context);
      line = newline + 1;
    }
    held -= (size_t)(line - text);
    memmove(text, line, held);
  }
  store_call(SYS_close, fd);
  return got == 0;
}

struct range {
  store_survey* survey;
  uintptr_t begin, end;
};

static char lines[TEXT]; /* the store's lock guards it */

static void survey_line(const char* line, void* context) {
  const struct range* range = context;
  read_line(range->survey, line, range->begin, range->end);
}

bool store_survey_maps(store_survey* survey, uintptr_t begin, uintptr_t end) {
  survey->maps = survey->stretch_count = 0;
  survey->async_io = false;
  survey->locked = locks_what_is_mapped_anew(survey->has_locked);
  bool known = !survey->filtered && ask_kernel(survey, begin, end);
  if (!known) {
    survey->stretch_count = 0;
    known = for_each_line(lines, survey_line, &(struct range){survey, begin, end});
  }
  if (known && !survey->filtered && !survey->async_io) see_descriptors(survey);
  return known;
}

static void count_line(const char* line, void* count) {
  (void)line;
  ++*(unsigned*)count;
}

unsigned store_survey_count_maps(store_survey* survey) {
  if (!survey->maps && !for_each_line(lines, count_line, &survey->maps)) survey->maps = UINT_MAX;
  return survey->maps;
}

struct files {
  uintptr_t begin, end;
  char how; /* 's': shared, 'p': private */
  void (*each)(const store_mapping* it, void* context);
  void* context;
};

static void file_line(const char* line, void* context) {
  const struct files* files = context;
  char* at;
  store_mapping it = {.begin = strtoul(line, &at, 16)};
  it.end = strtoul(at + 1, &at, 16);
  if (it.begin >= files->end || it.end <= files->begin || at[4] != files->how ||
      !strstr(at, "/memfd:" STORE_FILE_NAME))
    return;
  it.protection =
      (at[1] == 'r' ? PROT_READ : 0) | (at[2] == 'w' ? PROT_WRITE : 0) | (at[3] == 'x' ? PROT_EXEC : 0);
  it.offset = strtoul(at + 5, NULL, 16);
  if (it.begin < files->begin) it.offset += files->begin - it.begin, it.begin = files->begin;
  if (it.end > files->end) it.end = files->end;
  files->each(&it, files->context);
}

bool store_survey_files(uintptr_t begin, uintptr_t end, bool shared,
                        void (*each)(const store_mapping* it, void* context), void* context) {
  static char text[TEXT]; /* another one: `each` may begin a batch */
  return for_each_line(text, file_line, &(struct files){begin, end, shared ? 's' : 'p', each, context});
}
