/* Work for the time in which the process waits anyway: the calls below stand before libc's, and do some of
 * the store's work (when.h) before they let a thread wait. The wait behaves as without it:
 * - as soon as what is waited for is there, or the time is over, the call goes on;
 * - a signal that arrives meanwhile is delivered, and the call then ends with EINTR if libc's would have.
 *
 * Calls that cannot wait (non-blocking, timeout 0) pass through. Programs that wait without libc are not
 * noticed. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* Whether what is waited for has come, or the wait is over; waits for that so many milliseconds itself. What
 * several processes wait for another one may take: who saw it come must not wait for it again unwatched.
 * `during`: signals that are blocked meanwhile; NULL: as they are, all. */
typedef enum { STORE_INTERRUPTED = -1, STORE_NOT_YET, STORE_COME } store_state;
typedef store_state store_ready(const void* wait, int milliseconds, const uint64_t* during);

enum {
  STORE_RESTARTS = 1, /* libc goes on with this call after a handler that was installed with SA_RESTART */
  /* `ready` takes no signals. Other threads would be given those of a process whose first thread blocks them,
   * and its wait would go on: the first thread of several does not work in such a wait. */
  STORE_CLOSED = 2,
  STORE_NOT_CANCELLED = 4, /* the call is no cancellation point; this is one else */
  STORE_HOLDS = 8,         /* `ready` is called with STORE_CANCELLED if the thread is cancelled meanwhile */
};

enum { STORE_CANCELLED = -1 };

/* Works until nothing is due or `ready`. False: a signal has interrupted the wait, errno is EINTR. The first
 * thread of several does not work in a call that may restart after one of the program's handlers either: they
 * would run in another thread. */
bool store_idle(store_ready* ready, const void* wait, int flags);
/* The same, without STORE_RESTARTS and STORE_CLOSED, for a thread that has blocked its signals; `blocked`:
 * those that it had before, and has again. */
bool store_idle_blocked(store_ready* ready, const void* wait, int flags, uint64_t blocked);
/* Whether another thread, or this one below a signal handler, does so already: store_idle then does nothing.
 */
bool store_is_watched(void);
/* When the process was last seen to work. Any thread. */
int64_t store_idle_since(void);
void store_idle_forked(void); /* in the child */
