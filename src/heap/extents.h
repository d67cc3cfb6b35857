/* Arenas of one role: jemalloc arenas whose extents come from that role's side of the range.
 *
 * A process has *generation* 0; a forked child has its parent's plus one and allocates from arenas of its own
 * generation only, so that nothing it allocates lies on a page of its parent. The parent prepares the first
 * one of them before it forks (a child that only execs then pays nothing).
 *
 * jemalloc's bookkeeping (arena structures, extent descriptors, thread caches) does not come from the range.
 *
 * Thread-safety: heap_arena_* take the lock below; it is held across fork (heap_arenas_lock). What jemalloc
 * calls for extents runs inside its locks and takes none. */
#pragma once
#include <stdatomic.h>

#include "heap/jemalloc.h"
#include "heap/window.h"

typedef struct {
  unsigned index; /* jemalloc's */
  heap_role role;
  _Atomic(unsigned) generation;
  unsigned threads; /* bound to it, in this process */
} heap_arena;

/* The arena with the fewest threads among those of this role and generation; creates one as long as all are
 * in use and jemalloc would have as many. NULL if even the first cannot be made. Counts the caller as a
 * thread of it. */
heap_arena* heap_arena_acquire(heap_role role, unsigned generation);
void heap_arena_release(heap_arena* arena);
/* Makes sure that a child of `generation` finds its first arena ready. */
void heap_arena_prepare(unsigned generation);

/* Whether a block of inherited addresses lies in an arena that this generation took over from an ancestor.
 * Takes no lock of ours. */
bool heap_arena_taken_over(const void* block);

void heap_arenas_lock(void);
void heap_arenas_unlock(void);
void heap_arenas_forked(void); /* in the child: unlocks, and no thread but the caller is left */

/* Copies of one program: free constant pages stay until settle, because jemalloc's purging goes by the
 * clock, and copies whose blocks came to lie differently have no equal pages. */
void heap_arenas_keep_layout(void);
void heap_arenas_give_back(void); /* from settle on: by the clock again */

/* Gives the free pages of this generation's arenas back to the kernel now; constants of copies that keep
 * their layout stay. */
void heap_arenas_purge(heap_role role);

/* Gives the pages inside a large constant block that is being freed back to the kernel: a child may have
 * written to it, and nobody else will purge them there. */
void heap_extent_drop(void* block, size_t size);

/* Bytes in pages that hold allocations of this role now. */
size_t heap_arenas_active(heap_role role);
