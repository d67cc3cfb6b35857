#include "heap/ksm_advice.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "heap/policy.h"

#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68 /* Linux 6.4 */
#endif

static size_t minimum_size;
static _Atomic(size_t) registered;

/* The range has gaps where somebody else's mapping lay in the way; the kernel then says ENOMEM, and has
 * advised all the rest. */
static void advise(void* begin, size_t size) {
  if (madvise(begin, size, MADV_MERGEABLE) == 0 || errno == ENOMEM) atomic_fetch_add(&registered, size);
}

static void register_constants(void) {
  uintptr_t begin, end;
  heap_range_bounds(HEAP_CONSTANT, &begin, &end);
  if (end - begin >= minimum_size) {
    atomic_store(&registered, 0);
    advise((void*)begin, end - begin);
  }
}

static void keep_tactical_out(heap_role role, void* begin, size_t size) {
  if (role != HEAP_TACTICAL) return;
  int saved = errno;
  if (prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0) == 1) madvise(begin, size, MADV_UNMERGEABLE);
  errno = saved;
}

static void register_all(heap_role role, void* begin, size_t size) {
  (void)role;
  int saved = errno;
  advise(begin, size);
  errno = saved;
}

void heap_ksm_advise(heap_ksm_mode mode, size_t minimum) {
  static heap_policy policy;
  if (mode == HEAP_KSM_NONE) return;
  minimum_size = minimum;
  if (mode == HEAP_KSM_ALL) {
    uintptr_t begin, end;
    policy.grown = register_all;
    heap_range_bounds(HEAP_CONSTANT, &begin, &end);
    advise((void*)begin, end - begin); /* what other libraries' constructors have allocated */
  } else {
    policy.settled = register_constants;
    policy.grown = keep_tactical_out;
  }
  heap_policy_register(&policy);
}

size_t heap_ksm_registered(void) {
  return atomic_load(&registered);
}
