/* Which role each thread allocates in, and when that changes: start, settle, fork, scopes.
 *
 * The heap's *epoch* counts changes of phase or generation. Every thread remembers the epoch in which it
 * chose its arena; malloc compares the two (one load each) and takes the slow way once after a change:
 * empties its cache into the old arena and moves to one of the new role. A thread inside a scope has no epoch
 * at all and takes the slow way always. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>

#include "heap/window.h"

extern _Thread_local unsigned heap_thread_epoch
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline bool heap_thread_ready(void) {
  return heap_thread_epoch == atomic_load_explicit(&heap_fast.epoch, memory_order_relaxed);
}

/* The slow way: initialises the heap at the first call ever, binds the thread to an arena at its first call
 * and after every change of epoch. Returns the flags for je_mallocx (0: allocate as usual; inside a scope
 * the arena of the scope, past the thread's cache). Keeps errno. */
int heap_thread_enter(void);

heap_role heap_default_role(void); /* of this process, outside scopes */

/* Moves allocation on; what was allocated before is constant from now on. False if that has happened before
 * (a forked child is past it from the start). */
bool heap_settle(void);
/* Back to the constant phase of a process that settled by mistake. */
void heap_unsettle(void);

void heap_scope_begin(heap_role role);
void heap_scope_end(void); /* the innermost */

/* This thread's next allocation gives the free pages of event memory back to the kernel first. Safe in signal
 * handlers. */
void heap_purge_soon(void);

unsigned heap_generation(void);
/* Whether the next fork makes a copy of the program's start (samepage run), not a worker. */
bool heap_next_fork_is_copy(void);
