#define _GNU_SOURCE
#include "store/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "heap/window.h"
#include "store/batch.h"
#include "store/block.h"
#include "store/config.h"
#include "store/family.h"
#include "store/lock.h"
#include "store/share.h"
#include "store/statistics.h"
#include "store/survey.h"
#include "store/system.h"

enum { COPIED_AT_ONCE = 2 << 20, TRIES = 8, MAPPINGS_MOST = 8192, NEVER_OVERCOMMIT = 2 };

static atomic_bool on, holds;
/* Pages that are mapped from a file that is not, or could not be, made store_blocks' own: shared while `on`,
 * then privately. */
static store_pages pages[STORE_FILES];
static uintptr_t blocks[STORE_FILES]; /* where those files lie; 0 */

static uintptr_t block_of(uintptr_t address) {
  return address & -(uintptr_t)STORE_BLOCK;
}

static int file_at(uintptr_t block) {
  for (int file = 0; file < STORE_FILES; ++file)
    if (blocks[file] == block) return file;
  return -1;
}

/* Mapping it anew as private memory may fail then, when it is too late to say no. */
static bool is_limited(void) {
  struct rlimit limit;
  char text[16];
  return getrlimit(RLIMIT_DATA, &limit) || limit.rlim_cur != RLIM_INFINITY ||
         !store_read_text("/proc/sys/vm/overcommit_memory", text, sizeof text) ||
         atoi(text) == NEVER_OVERCOMMIT;
}

bool store_direct_begin(void) {
  if (atomic_load(&on)) return true;
  if (store_family_exists() || store_config.joined) return store_refuse(SAMEPAGE_STORE_BUSY);
  if (is_limited()) return store_refuse(SAMEPAGE_STORE_MEMORY);
  store_config.holder = NULL; /* a launcher's files are for copies; its own go with it and its workers */
  if (!store_family_make(STORE_FILES)) return false;
  atomic_store(&holds, true);
  atomic_store(&on, true);
  return true;
}

bool store_direct_holds(void) {
  return atomic_load_explicit(&holds, memory_order_relaxed);
}

/* ---- inside malloc ---- */

static void map_part(uintptr_t begin, uintptr_t end) {
  const uintptr_t block = block_of(begin);
  const int file = store_family_file(block), fd = file < 0 ? -1 : store_file_held(file);
  if (fd < 0) return;
  const size_t size = end - begin;
  blocks[file] = block;
  /* Nobody can take memory away from under the mapping. */
  if (store_call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0) {
    if (mmap((void*)begin, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd,
             (off_t)(begin - block)) == (void*)begin)
      for (uintptr_t at = begin; at < end; at += STORE_PAGE)
        store_pages_add(&pages[file], (unsigned)((at - block) / STORE_PAGE));
    else /* the plain memory that was there may be gone */
      (void)mmap((void*)begin, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  }
}

void store_direct_grown(uintptr_t begin, size_t size) {
  if (!atomic_load_explicit(&on, memory_order_relaxed) || !heap_in_range((void*)begin) ||
      getpid() != store_process())
    return;
  const int saved = errno;
  if (store_lock_in_malloc()) {
    const uintptr_t end = begin + size;
    for (uintptr_t at = begin, next; atomic_load(&on) && at < end; at = next) {
      next = block_of(at) + STORE_BLOCK < end ? block_of(at) + STORE_BLOCK : end;
      map_part(at, next);
    }
    store_unlock();
  }
  errno = saved;
}

static bool make_zero(uintptr_t begin, size_t size) {
  static unsigned mappings;
  if (atomic_load(&on)) return madvise((void*)begin, size, MADV_REMOVE) == 0;
  return mappings++ < MAPPINGS_MOST &&
         mmap((void*)begin, size, PROT_READ | PROT_WRITE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == (void*)begin;
}

bool store_direct_discard(uintptr_t begin, size_t size) {
  const uintptr_t end = begin + size;
  bool done = true;
  for (uintptr_t block = block_of(begin); done && store_direct_holds() && block < end; block += STORE_BLOCK) {
    const int file = file_at(block);
    const unsigned from = begin > block ? (unsigned)((begin - block) / STORE_PAGE) : 0,
                   to = end - block < STORE_BLOCK ? (unsigned)((end - block) / STORE_PAGE) : STORE_PAGES;
    for (unsigned page = from, run; file >= 0 && done && page < to; page = run + 1) {
      run = store_pages_run(&pages[file], page, to);
      if (run == page) continue;
      done = make_zero(block + (uintptr_t)page * STORE_PAGE, (size_t)(run - page) * STORE_PAGE);
      for (; done && !atomic_load(&on) && page < run; ++page) store_pages_remove(&pages[file], page);
    }
  }
  return done;
}

/* ---- the end of it ---- */

/* Without the file, which the program has closed: the bytes move to plain memory. */
static bool copy_out(const store_mapping* it) {
  for (uintptr_t at = it->begin; at < it->end; at += COPIED_AT_ONCE) {
    const size_t size = it->end - at < COPIED_AT_ONCE ? it->end - at : COPIED_AT_ONCE;
    void* copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (copy == MAP_FAILED) return false;
    const bool readable = (it->protection & PROT_READ) || mprotect((void*)at, size, PROT_READ) == 0;
    if (readable) memcpy(copy, (void*)at, size);
    if (!readable || mprotect(copy, size, it->protection) ||
        mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED) {
      munmap(copy, size);
      return false;
    }
  }
  return true;
}

static bool copy_out_alone(const store_mapping* it) {
  for (int tries = 0; tries < TRIES; ++tries) {
    if (!store_batch_begin(STORE_BATCH_NS)) continue;
    const bool done = copy_out(it);
    store_batch_end();
    return done;
  }
  static store_survey survey; /* threads have small stacks */
  return store_survey_process(&survey) && survey.threads == 1 && copy_out(it);
}

static bool map_anew(const store_mapping* it, int how, int fd) {
  void* at = (void*)it->begin;
  return mmap(at, it->end - it->begin, it->protection, how | MAP_NORESERVE | MAP_FIXED, fd,
              (off_t)it->offset) == at;
}

static void note_private(int file, const store_mapping* it, bool undisturbed) {
  const uintptr_t block = blocks[file];
  for (uintptr_t at = it->begin; at < it->end; at += STORE_PAGE)
    store_pages_add(&pages[file], (unsigned)((at - block) / STORE_PAGE));
  /* A core dump leaves out what never had a page of its own. */
  if (undisturbed && (it->protection & PROT_WRITE)) atomic_fetch_or((_Atomic(unsigned char)*)it->begin, 0);
}

/* Another thread may write meanwhile: before to the file, after it to a copy of its own. What the program has
 * done to its memory stays: protection, and mappings of its own. */
static void make_private(const store_mapping* it, void* is_undisturbed) {
  const int file = file_at(block_of(it->begin)), fd = file < 0 ? -1 : store_file_held(file);
  if (fd < 0 ? copy_out_alone(it) : map_anew(it, MAP_PRIVATE, fd)) {
    if (fd >= 0) note_private(file, it, *(bool*)is_undisturbed);
    return;
  }
  store_refuse(SAMEPAGE_STORE_MEMORY_FILE);
  if (fd >= 0) map_anew(it, MAP_SHARED, fd);
  /* Better no memory in the children than memory in common with them. */
  store_call(SYS_madvise, it->begin, it->end - it->begin, MADV_DONTFORK);
}

/* Without /proc: all that was mapped once. */
static void make_all_private(const store_pages* were, bool* undisturbed) {
  for (int file = 0; file < STORE_FILES; ++file)
    for (unsigned page = 0, run; page < STORE_PAGES; page = run + 1) {
      run = store_pages_run(&were[file], page, STORE_PAGES);
      const size_t offset = (size_t)page * STORE_PAGE;
      const store_mapping it = {blocks[file] + offset, blocks[file] + (uintptr_t)run * STORE_PAGE, offset,
                                PROT_READ | PROT_WRITE};
      if (run > page) make_private(&it, undisturbed);
    }
}

/* What this process holds of the file is the store's now. */
static bool take_block(int file, uintptr_t block) {
  if (!store_file_claim(file) || !store_file_publish(file)) return false;
  if (!store_block_open(file, block)) return false;
  store_block* own = &store_blocks[file];
  for (unsigned i = 0; i < STORE_PAGES / 64; ++i)
    own->mapped.words[i] = own->present.words[i] & pages[file].words[i];
  own->compared = STORE_PAGES;
  own->sealed = true;
  const size_t size = store_pages_count(&own->mapped) * STORE_PAGE;
  store_statistics.sealed += size;
  store_statistics.published += size;
  store_block_done(file);
  return true;
}

/* What the kernel writes to by itself goes on into the file's page: nobody else may have that. */
static bool is_undisturbed(store_survey* survey, uintptr_t begin, uintptr_t end) {
  if (!store_survey_process(survey) || !store_survey_maps(survey, begin, end))
    return store_refuse(SAMEPAGE_STORE_PAGEMAP);
  if (survey->pinned) return store_refuse(SAMEPAGE_STORE_PINNED);
  return !survey->async_io || store_refuse(SAMEPAGE_STORE_ASYNC_IO);
}

/* The kernel knows a futex by the file that it lies in, until its waiter waits anew, which a stop makes it
 * do. */
static void wake_waiters(const store_survey* survey) {
  if (survey->threads > 1 && store_batch_begin(0)) store_batch_end();
}

void store_direct_end(void) {
  if (!atomic_load(&on)) return;
  static store_survey survey;
  static store_pages were[STORE_FILES];
  const uint64_t signals = store_block_signals(); /* over a fork the lock does not */
  const int64_t cpu = store_clock_ns(CLOCK_THREAD_CPUTIME_ID);
  uintptr_t begin, end;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  bool undisturbed = is_undisturbed(&survey, begin, end), left = false;
  memcpy(were, pages, sizeof were);
  memset(pages, 0, sizeof pages);
  if (!store_survey_files(begin, end, true, make_private, &undisturbed)) make_all_private(were, &undisturbed);
  atomic_store(&on, false);
  for (int file = 0; file < STORE_FILES; ++file) {
    if (!blocks[file]) continue;
    if (undisturbed && store_pages_any(&pages[file], 0, STORE_PAGES) && take_block(file, blocks[file])) {
      pages[file] = (store_pages){{0}};
    } else { /* mapped by this process and its children as it is */
      store_file_disown(file);
      left = left || store_pages_any(&pages[file], 0, STORE_PAGES);
    }
  }
  atomic_store(&holds, left);
  wake_waiters(&survey);
  store_statistics.seal_seconds += (double)(store_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e-9;
  store_restore_signals(signals);
}
