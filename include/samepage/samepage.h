/* Samepage for C and other languages.
 *
 * Errors: functions return SAMEPAGE_OK (0) or another SAMEPAGE_ code; samepage_error_string says it in words.
 * Without libsamepage-heap.so in the process (preloaded, or linked) the heap's functions return
 * SAMEPAGE_NO_HEAP and do nothing, so a program may call them unconditionally.
 * Ownership: nothing returned here is to be freed. Pointers must not be null unless stated.
 * Threads: every function may be called from any thread, none from a signal handler. */
#ifndef SAMEPAGE_H
#define SAMEPAGE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SAMEPAGE_API __attribute__((visibility("default")))

enum {
  SAMEPAGE_OK = 0,
  SAMEPAGE_NO_HEAP = 1,         /* libsamepage-heap.so is not in this process */
  SAMEPAGE_ALREADY_SETTLED = 2, /* before, or this is a forked child, which is past it from the start */
  SAMEPAGE_INVALID = 3          /* an argument is null or out of range */
};

/* A constant string, also for codes that do not exist. */
SAMEPAGE_API const char* samepage_error_string(int code);
/* "0.1.0". */
SAMEPAGE_API const char* samepage_version(void);

/* Says that initialisation is over: what was allocated so far is constant, what follows is tactical (of one
 * event or request) and never shares a page with it. Programs that fork workers need not call it. */
SAMEPAGE_API int samepage_settle(void);

/* What this thread allocates until samepage_scope_end() is constant, or tactical, whatever the process's
 * phase. Scopes nest; allocation in a scope that differs from the phase is slower (it passes the thread's
 * cache). */
SAMEPAGE_API int samepage_constant_begin(void);
SAMEPAGE_API int samepage_tactical_begin(void);
SAMEPAGE_API int samepage_scope_end(void);

/* All sizes in bytes. */
typedef struct {
  size_t constant_mapped; /* address range of constant extents */
  size_t constant_active; /* pages of them that hold allocations */
  size_t tactical_mapped;
  size_t tactical_active;
  size_t constant_freed; /* constants freed since settle or fork: their pages are not used again */
  size_t ksm_registered; /* memory that the heap has registered with the kernel's Samepage Merging */
  unsigned generation;   /* forks between the first process and this one */
  int settled;           /* 1 after settle, and in forked children */
} samepage_heap_stats;

SAMEPAGE_API int samepage_heap_statistics(samepage_heap_stats* stats);

#ifdef __cplusplus
}
#endif
#endif
