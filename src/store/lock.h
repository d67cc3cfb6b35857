/* The store's lock: held for some milliseconds at a time, and by a thread that forks while it does.
 *
 * No signal handler runs in the thread that holds it, but over a fork. Under it nothing is allocated or
 * freed, and no other lock is taken: it comes after the heap's and jemalloc's. */
#pragma once
#include <stdbool.h>

bool store_lock(void);
bool store_try_lock(void);
/* For the way from malloc, where the holder may wait for a lock of jemalloc's that the caller has: waits for
 * a while only, and not at all for the caller itself. */
bool store_lock_in_malloc(void);
void store_unlock(void);

/* Before a fork, and after it in the parent and in the child. */
void store_lock_to_fork(void);
void store_unlock_forked(bool child);
