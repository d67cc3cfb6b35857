#define _GNU_SOURCE
#include "store/family.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/cgroup.h"
#include "store/config.h"
#include "store/control.h"
#include "store/key.h"
#include "store/statistics.h"
#include "store/system.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3; without it memfd_create fails where vm.memfd_noexec is 2 */
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

enum {
  SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
  DESCRIPTORS_BELOW = 1024, /* select(2) of others is not disturbed, nor their low numbers */
  DESCRIPTORS_LEFT = 64,    /* for the program */
  STALE_MS = 500,           /* a publisher that says nothing for so long is not waited for */
};

_Static_assert(sizeof(struct store_control) <= STORE_NOTES, "it is one mapping");
_Static_assert(STORE_NOTES + sizeof(struct store_notes) == STORE_CONTROL, "with the notes behind");

static struct store_control* control;
static pid_t holder; /* 0: every process for itself */
static pid_t maker;  /* of what no launcher holds */
static struct {
  int fd; /* the holder's; -1: closed */
  dev_t device;
  ino_t inode;
  enum { OURS, EARLIER, VACANT } place; /* EARLIER: of a family before, and in use here still */
} files[STORE_FILES];
static unsigned file_count, made; /* by this process, in this family */
static void* earlier_control;

static int64_t now_ms(void) {
  return store_now_ns() / 1000000;
}

static int memory_file(void) {
  const char* name = STORE_FILE_NAME;
  long fd = store_call(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = store_call(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return (int)fd;
}

/* The lowest descriptor that may be taken, for so many files in all; half of what the limit leaves is the
 * program's. -1 if it leaves none. */
static int descriptor_floor(unsigned wanted) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) return -1;
  const int end = limit.rlim_cur < DESCRIPTORS_BELOW ? (int)limit.rlim_cur : DESCRIPTORS_BELOW;
  const int most = (end - DESCRIPTORS_LEFT) / 2;
  if (most <= 0) return -1;
  return end - ((int)wanted < most ? (int)wanted : most);
}

/* Opens what stands behind a descriptor of the holder anew. */
static int open_held(int fd, int flags) {
  char path[48];
  if (holder)
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)holder, fd);
  else
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  return (int)store_call(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC);
}

static void remember_file(unsigned file, int fd, const struct stat* status) {
  files[file].fd = fd;
  files[file].device = status->st_dev;
  files[file].inode = status->st_ino;
  files[file].place = OURS;
  if (file == file_count) ++file_count;
}

static bool make_file(unsigned file, int floor) {
  const int fd = memory_file();
  if (fd < 0)
    return store_refuse(errno == EMFILE || errno == ENFILE ? SAMEPAGE_STORE_DESCRIPTORS
                                                           : SAMEPAGE_STORE_MEMORY_FILE);
  const int high = (int)store_call(SYS_fcntl, fd, F_DUPFD_CLOEXEC, floor);
  store_call(SYS_close, fd);
  if (high < 0) return store_refuse(SAMEPAGE_STORE_DESCRIPTORS);
  struct stat status;
  if (store_call(SYS_ftruncate, high, (long)STORE_BLOCK) || fstat(high, &status)) {
    store_call(SYS_close, high);
    return store_refuse(SAMEPAGE_STORE_MEMORY_FILE);
  }
  remember_file(file, high, &status);
  ++made;
  return true;
}

/* The kernel would send SIGXFSZ. */
static bool file_size_is_limited(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < STORE_BLOCK;
}

static unsigned files_open(void) {
  unsigned count = 0;
  for (unsigned i = 0; i < file_count; ++i) count += files[i].fd >= 0;
  return count;
}

/* So many of this process's own; relatives that were forked before do without. */
static void make_files(unsigned wanted) {
  if (made >= wanted || file_size_is_limited()) return;
  const int floor = descriptor_floor(files_open() + wanted - made);
  if (floor < 0) {
    store_refuse(SAMEPAGE_STORE_DESCRIPTORS);
    return;
  }
  for (unsigned i = 0; i < STORE_FILES && made < wanted; ++i)
    if ((i == file_count || files[i].place == VACANT) && !make_file(i, floor)) return;
}

static struct store_control* make_control(void) {
  void* area =
      mmap(NULL, STORE_CONTROL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (area != MAP_FAILED) return area;
  store_refuse(SAMEPAGE_STORE_ADDRESS_SPACE);
  return NULL;
}

static bool make_own(unsigned wanted) {
  make_files(wanted);
  if (!file_count) return false;
  control = make_control();
  if (!control) { /* tried again at the next fork */
    for (; file_count; --file_count) store_call(SYS_close, files[file_count - 1].fd);
    made = 0;
    return false;
  }
  maker = getpid();
  return true;
}

static bool map_control(int fd) {
  struct stat status;
  const long seals = store_call(SYS_fcntl, fd, F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &status) || status.st_size != STORE_CONTROL)
    return store_refuse(SAMEPAGE_STORE_HOLDER);
  void* area = mmap(NULL, STORE_CONTROL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (area == MAP_FAILED) return store_refuse(SAMEPAGE_STORE_ADDRESS_SPACE);
  control = area;
  return true;
}

static bool join_held(const char* at) {
  int version, first, count;
  if (sscanf(at, "%d:%d:%d:%d", &version, &holder, &first, &count) != 4 || version != STORE_HOLDER_VERSION ||
      holder <= 0 || count <= 0 || count > STORE_FILES) {
    holder = 0;
    return store_refuse(SAMEPAGE_STORE_HOLDER);
  }
  const int fd = open_held(first, O_RDWR);
  const bool may = fd < 0 || store_config.across || store_same_cgroup(holder);
  const bool mapped = fd >= 0 && may && map_control(fd);
  if (fd >= 0) store_call(SYS_close, fd);
  for (int i = 1; mapped && i <= count; ++i) {
    struct stat status;
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)holder, first + i);
    if (stat(path, &status)) break;
    remember_file(file_count, first + i, &status);
  }
  if (mapped && file_count) return true;
  if (mapped) munmap(control, STORE_CONTROL);
  control = NULL;
  holder = 0;
  return store_refuse(may ? SAMEPAGE_STORE_HOLDER : SAMEPAGE_STORE_CGROUP);
}

bool store_family_make(unsigned blocks) {
  const unsigned wanted = 2 * blocks < STORE_FILES ? 2 * blocks : STORE_FILES;
  if (control) {
    if (maker == getpid()) make_files(wanted);
    return true;
  }
  if (file_size_is_limited()) return store_refuse(SAMEPAGE_STORE_MEMORY_FILE);
  if (!(store_config.holder && join_held(store_config.holder)) && !make_own(wanted)) return false;
  madvise(control, STORE_CONTROL, MADV_DONTDUMP);
  return true;
}

/* Other threads may look at the control area without the lock: that of the family before goes, not this
 * one's. */
bool store_family_renew(const bool is_in_use[STORE_FILES]) {
  struct store_control* fresh = make_control();
  if (!fresh) return false;
  madvise(fresh, STORE_CONTROL, MADV_DONTDUMP);
  for (unsigned i = 0; i < file_count; ++i) {
    if (holder)
      files[i].fd = -1;
    else if (!is_in_use[i])
      store_file_close((int)i);
    files[i].place = is_in_use[i] ? EARLIER : VACANT;
  }
  if (earlier_control) munmap(earlier_control, STORE_CONTROL);
  earlier_control = control;
  control = fresh;
  holder = 0;
  maker = getpid();
  made = 0;
  return true;
}

bool store_family_is_held(void) {
  return holder != 0;
}

bool store_family_is_own(void) {
  return control && maker == getpid();
}

bool store_family_exists(void) {
  return control != NULL;
}

unsigned store_family_copies(void) {
  return control ? atomic_load(&control->copies) : 0;
}

void store_family_join(void) {
  if (control) atomic_fetch_add(&control->copies, 1);
}

static bool is_ours(unsigned file) {
  return files[file].fd >= 0 && files[file].place == OURS;
}

static bool is_gone(int file) {
  const struct store_entry* entry = &control->entries[file];
  const int64_t silent = now_ms() - atomic_load(&entry->heard_ms);
  return atomic_load(&entry->publisher) <= 0 || silent > STALE_MS || silent < -STALE_MS;
}

/* Of one that is gone; in another PID namespace one that lives seems dead too. */
static bool is_dead(int file) {
  const int publisher = atomic_load(&control->entries[file].publisher);
  return publisher <= 0 || (kill(publisher, 0) && errno == ESRCH);
}

static bool is_of_use(int file) {
  const unsigned state = atomic_load(&control->entries[file].state);
  if (state == STORE_ABANDONED) return false;
  if (state != STORE_FILLING || !is_gone(file)) return true;
  if (is_dead(file)) store_file_abandon(file);
  return false;
}

int store_family_find(uintptr_t key) {
  for (unsigned i = 0; control && i < file_count; ++i)
    if (is_ours(i) && atomic_load(&control->entries[i].key) == key && is_of_use((int)i)) return (int)i;
  return -1;
}

/* Who takes one that another takes for the same key at that moment has that one's. */
int store_family_file(uintptr_t key) {
  const int found = store_family_find(key);
  for (unsigned i = 0; found < 0 && control && i < file_count; ++i) {
    uintptr_t there = 0;
    if (!is_ours(i)) continue;
    if (atomic_compare_exchange_strong(&control->entries[i].key, &there, key) ||
        (there == key && is_of_use((int)i)))
      return (int)i;
  }
  return found;
}

uintptr_t store_file_key(int file) {
  return control && file < (int)file_count && files[file].place == OURS
             ? atomic_load(&control->entries[file].key)
             : 0;
}

unsigned store_family_published(void) {
  return control ? atomic_load_explicit(&control->published, memory_order_relaxed) : 0;
}

store_file_state store_file_state_of(int file) {
  const unsigned state = atomic_load_explicit(&control->entries[file].state, memory_order_acquire);
  return state == STORE_PUBLISHED || state == STORE_FREE ? (store_file_state)state : STORE_FILLING;
}

/* ---- publishing ---- */

static bool is_taken(int filling) {
  return filling > 0 && filling <= STORE_FILES && store_file_state_of(filling - 1) != STORE_PUBLISHED &&
         !is_gone(filling - 1);
}

bool store_file_may_be_claimed(void) {
  return !is_taken(atomic_load(&control->filling));
}

/* Who has its number in the entry has the file; then it needs the right to fill, which there is once. */
bool store_file_claim(int file) {
  struct store_entry* entry = &control->entries[file];
  int filling = atomic_load(&control->filling), publisher = atomic_load(&entry->publisher),
      own = (int)getpid();
  if (is_taken(filling) || (publisher && !is_gone(file))) return false;
  atomic_store(&entry->heard_ms, now_ms());
  if (!atomic_compare_exchange_strong(&entry->publisher, &publisher, own)) return false;
  unsigned state = STORE_FREE;
  if (atomic_compare_exchange_strong(&control->filling, &filling, file + 1) &&
      atomic_compare_exchange_strong(&entry->state, &state, STORE_FILLING))
    return true;
  atomic_compare_exchange_strong(&entry->publisher, &own, 0);
  return false;
}

bool store_file_claimed(int file) {
  struct store_entry* entry = &control->entries[file];
  if (atomic_load(&entry->publisher) != (int)getpid() || store_file_state_of(file) != STORE_FILLING ||
      atomic_load(&control->filling) != file + 1)
    return false;
  atomic_store(&entry->heard_ms, now_ms());
  return true;
}

/* Not another one, which the program has opened since at that number. */
static bool is_file(int fd, int file) {
  struct stat status;
  return fstat(fd, &status) == 0 && status.st_dev == files[file].device && status.st_ino == files[file].inode;
}

static int open_verified(int file, int flags) {
  if (files[file].fd < 0) return -1;
  const int fd = open_held(files[file].fd, flags);
  if (fd < 0) return -1;
  if (is_file(fd, file)) return fd;
  store_call(SYS_close, fd);
  files[file].fd = -1; /* the program has closed it, and perhaps has another file there now */
  return -1;
}

int store_file_held(int file) {
  const int fd = files[file].fd;
  return !holder && fd >= 0 && is_file(fd, file) ? fd : -1;
}

int store_file_writer(int file) {
  return file_size_is_limited() ? -1 : open_verified(file, O_RDWR);
}

bool store_file_publish(int file) {
  /* One that was silent for too long: another has taken its place. */
  int filling = file + 1;
  if (!store_file_claimed(file) || !atomic_compare_exchange_strong(&control->filling, &filling, 0))
    return false;
  const int fd = open_verified(file, O_RDWR);
  struct stat status;
  const bool sealed = fd >= 0 && store_call(SYS_fcntl, fd, F_ADD_SEALS, SEALS) == 0 &&
                      fstat(fd, &status) == 0 && status.st_size == STORE_BLOCK;
  if (fd >= 0) store_call(SYS_close, fd);
  if (!sealed) return false;
  atomic_store_explicit(&control->entries[file].state, STORE_PUBLISHED, memory_order_release);
  if (!store_key_is_layer(store_file_key(file))) atomic_fetch_add(&control->published, 1);
  return true;
}

void store_file_abandon(int file) {
  int filling = file + 1;
  unsigned state = STORE_FILLING;
  if (!atomic_compare_exchange_strong(&control->entries[file].state, &state, STORE_ABANDONED)) return;
  atomic_compare_exchange_strong(&control->filling, &filling, 0);
  const int fd = store_file_writer(file);
  if (fd < 0) return;
  store_call(SYS_ftruncate, fd, 0L);
  store_call(SYS_close, fd);
}

/* ---- finding ---- */

/* Holes are never to be read: that would allocate them. */
static void find_data(int reader, store_pages* present) {
  *present = (store_pages){{0}};
  for (long at = 0, end; at < STORE_BLOCK; at = end) {
    at = store_call(SYS_lseek, reader, at, SEEK_DATA);
    if (at < 0) return;
    end = store_call(SYS_lseek, reader, at, SEEK_HOLE);
    if (end <= at) return;
    for (long page = at / STORE_PAGE; page < end / STORE_PAGE && page < STORE_PAGES; ++page)
      store_pages_add(present, (unsigned)page);
  }
}

int store_file_reader(int file, store_pages* present) {
  /* Before Linux 6.7 a shared mapping of a sealed file is refused, unless it is opened for reading alone. */
  const int fd = open_verified(file, O_RDONLY);
  if (fd < 0) {
    store_refuse(errno == EMFILE || errno == ENFILE ? SAMEPAGE_STORE_DESCRIPTORS
                                                    : SAMEPAGE_STORE_MEMORY_FILE);
    return -1;
  }
  struct stat status;
  const long seals = store_call(SYS_fcntl, fd, F_GET_SEALS);
  if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &status) || status.st_size != STORE_BLOCK) {
    store_refuse(SAMEPAGE_STORE_HOLDER);
    store_call(SYS_close, fd);
    return -1;
  }
  if (present) find_data(fd, present);
  return fd;
}

void store_file_close(int file) {
  const int fd = store_file_held(file);
  if (!holder) files[file].fd = -1;
  if (fd >= 0) store_call(SYS_close, fd);
}

void store_file_left(int file) {
  atomic_fetch_add(&control->entries[file].left, 1);
}

void store_file_disown(int file) {
  int filling = file + 1;
  atomic_store(&control->entries[file].state, STORE_ABANDONED);
  atomic_compare_exchange_strong(&control->filling, &filling, 0);
  store_file_close(file);
}

/* ---- notes ---- */

enum { WRITERS = (1 << STORE_NOTE_WRITER) - 1 };

static uint64_t note_of(const void* bytes, uint64_t writer) {
  return (XXH3_64bits_withSeed(bytes, STORE_PAGE, writer) & ~(uint64_t)WRITERS) | writer;
}

static uint64_t this_writer(void) {
  const uint64_t process = (uint64_t)getpid();
  return (process ^ process >> STORE_NOTE_WRITER) & WRITERS;
}

static _Atomic(uint64_t)* note_at(int file, unsigned page) {
  return &((struct store_notes*)((char*)control + STORE_NOTES))->pages[file][page];
}

bool store_family_noted(int file, unsigned page, const void* bytes) {
  const uint64_t last = atomic_load_explicit(note_at(file, page), memory_order_relaxed),
                 writer = last & WRITERS;
  return last && writer != this_writer() && last == note_of(bytes, writer);
}

bool store_family_note(int file, unsigned page, const void* bytes) {
  if (store_family_noted(file, page, bytes)) return true;
  const uint64_t own = note_of(bytes, this_writer());
  if (atomic_load_explicit(note_at(file, page), memory_order_relaxed) != own)
    atomic_store_explicit(note_at(file, page), own, memory_order_relaxed);
  return false;
}

bool store_family_has_spare_files(void) {
  unsigned count = 0;
  for (unsigned i = 0; control && i < file_count; ++i)
    if (is_ours(i) && !atomic_load(&control->entries[i].key)) ++count;
  return count > (holder ? file_count : made) / 4;
}

/* ---- flags ---- */

void store_family_lives_on(void) {
  if (control && !atomic_load_explicit(&control->lives_on, memory_order_relaxed))
    atomic_store(&control->lives_on, true);
}

void store_family_maps(void) {
  if (control && !atomic_load_explicit(&control->maps, memory_order_relaxed))
    atomic_store(&control->maps, true);
}

bool store_family_has_mapped(void) {
  return control && atomic_load(&control->maps);
}

bool store_family_has_lived_on(void) {
  return control && atomic_load_explicit(&control->lives_on, memory_order_relaxed);
}
