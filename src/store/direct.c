#define _GNU_SOURCE
#include "store/direct.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "store/batch.h"
#include "store/block.h"
#include "store/config.h"
#include "store/family.h"
#include "store/lock.h"
#include "store/share.h"
#include "store/statistics.h"
#include "store/survey.h"
#include "store/system.h"

enum { COPIED_AT_ONCE = STORE_CHUNK };

static atomic_bool on;
static store_pages shared[STORE_FILES]; /* pages that are mapped shared */

static uintptr_t block_of(uintptr_t address) {
  return address & -(uintptr_t)STORE_BLOCK;
}

bool store_direct_begin(void) {
  if (atomic_load(&on)) return true;
  if (store_family_exists() || store_config.holder) return store_refuse(SAMEPAGE_STORE_BUSY);
  if (!store_family_make(STORE_FILES)) return false;
  atomic_store(&on, true);
  return true;
}

/* ---- inside malloc ---- */

static void map_part(uintptr_t begin, uintptr_t end) {
  const uintptr_t block = block_of(begin);
  const int file = store_family_file(block), fd = file < 0 ? -1 : store_file_writer(file);
  if (fd < 0) return;
  /* Nobody can take memory away from under the mapping. */
  if (store_call(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0) {
    const size_t size = end - begin;
    if (mmap((void*)begin, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd,
             (off_t)(begin - block)) == (void*)begin) {
      for (uintptr_t at = begin; at < end; at += STORE_PAGE)
        store_pages_add(&shared[file], (unsigned)((at - block) / STORE_PAGE));
    } else { /* the plain memory that was there may be gone */
      mmap((void*)begin, size, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    }
  }
  store_call(SYS_close, fd);
}

void store_direct_grown(uintptr_t begin, size_t size) {
  if (!store_direct_is_on() || getpid() != store_process() || !store_lock_in_malloc()) return;
  const uintptr_t end = begin + size;
  for (uintptr_t at = begin, next; atomic_load(&on) && at < end; at = next) {
    next = block_of(at) + STORE_BLOCK < end ? block_of(at) + STORE_BLOCK : end;
    map_part(at, next);
  }
  store_unlock();
}

bool store_direct_is_on(void) {
  return atomic_load_explicit(&on, memory_order_relaxed);
}

void store_direct_discard(uintptr_t begin, size_t size) {
  if (!atomic_load(&on)) return;
  for (uintptr_t at = begin, end = begin + size; at < end; at += STORE_PAGE) {
    uintptr_t run = at;
    while (run < end && block_of(run) == block_of(at)) {
      const int file = store_family_file(block_of(run));
      if (file < 0 || !store_pages_has(&shared[file], (unsigned)((run - block_of(run)) / STORE_PAGE))) break;
      run += STORE_PAGE;
    }
    if (run == at) continue;
    madvise((void*)at, run - at, MADV_REMOVE);
    at = run - STORE_PAGE;
  }
}

/* ---- the end of it ---- */

/* Another thread may write meanwhile: before, to the file, after it to a copy of its own. */
static bool map_private(int fd, uintptr_t block, unsigned begin, unsigned end) {
  unsigned char* at = (unsigned char*)block + (size_t)begin * STORE_PAGE;
  if (mmap(at, (size_t)(end - begin) * STORE_PAGE, PROT_READ | PROT_WRITE,
           MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd, (off_t)begin * STORE_PAGE) != at)
    return false;
  atomic_fetch_or((_Atomic(unsigned char)*)at,
                  0); /* a core dump leaves out what never had a page of its own */
  return true;
}

static void map_zeros(uintptr_t block, unsigned begin, unsigned end) {
  mmap((unsigned char*)block + (size_t)begin * STORE_PAGE, (size_t)(end - begin) * STORE_PAGE,
       PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

/* Pages without data are to become plain memory; another thread might be filling one. */
static bool is_alone(void) {
  static store_survey survey;
  return store_survey_process(&survey) && survey.threads == 1;
}

/* The program has closed the file. */
static void copy_out(uintptr_t block, unsigned begin, unsigned end) {
  const bool stopped = store_batch_begin(STORE_BATCH_NS);
  for (unsigned page = begin; page < end; page += COPIED_AT_ONCE) {
    const size_t size = (size_t)(end - page < COPIED_AT_ONCE ? end - page : COPIED_AT_ONCE) * STORE_PAGE;
    unsigned char* at = (unsigned char*)block + (size_t)page * STORE_PAGE;
    void* copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (copy == MAP_FAILED) continue;
    memcpy(copy, at, size);
    if (mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at) == MAP_FAILED) munmap(copy, size);
  }
  if (stopped) store_batch_end();
}

/* What this process holds of the file is the store's now. */
static void take_block(int file, uintptr_t block) {
  if (!store_block_open(file, block)) return;
  store_block* own = &store_blocks[file];
  for (unsigned i = 0; i < STORE_PAGES / 64; ++i)
    own->mapped.words[i] = own->present.words[i] & shared[file].words[i];
  own->compared = STORE_PAGES;
  own->sealed = true;
  const size_t size = store_pages_count(&own->mapped) * STORE_PAGE;
  store_statistics.sealed += size;
  store_statistics.published += size;
  store_block_done(file);
}

static void make_private(int file, bool alone) {
  const uintptr_t block = store_file_address(file);
  const int fd = store_file_writer(file);
  store_pages data = {{0}};
  if (fd >= 0) store_file_data(fd, &data);
  for (unsigned page = 0, end; page < STORE_PAGES; page = end + 1) {
    end = page;
    if (!store_pages_has(&shared[file], page)) continue;
    const bool holds = !alone || store_pages_has(&data, page);
    while (end < STORE_PAGES && store_pages_has(&shared[file], end) &&
           (!alone || store_pages_has(&data, end) == holds))
      ++end;
    if (fd < 0 || (holds && !map_private(fd, block, page, end)))
      copy_out(block, page, end);
    else if (!holds)
      map_zeros(block, page, end);
    --end;
  }
  if (fd >= 0) store_call(SYS_close, fd);
  if (fd >= 0 && store_file_claim(file) && store_file_publish(file))
    take_block(file, block);
  else
    store_file_disown(file); /* mapped by this process and its children as it is; never truncated */
}

void store_direct_end(void) {
  if (!atomic_exchange(&on, false)) return;
  const uint64_t all = ~(uint64_t)0;
  uint64_t before = 0;
  store_call(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all); /* a handler may write, too */
  const int64_t cpu = store_clock_ns(CLOCK_THREAD_CPUTIME_ID);
  const bool alone = is_alone();
  for (int file = 0; file < STORE_FILES; ++file) {
    if (!store_pages_any(&shared[file], 0, STORE_PAGES)) continue;
    make_private(file, alone);
    shared[file] = (store_pages){{0}};
  }
  store_statistics.seal_seconds += (double)(store_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu) * 1e-9;
  store_call(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
}
