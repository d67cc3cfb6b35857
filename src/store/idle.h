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

/* Whether what is waited for has come, or the wait is over; waits for that so many milliseconds itself. */
typedef bool store_ready(const void* wait, int milliseconds);

typedef enum {
  STORE_INTERRUPTED, /* by a signal: errno is EINTR */
  STORE_WAIT,        /* nothing is due, or not now: the call may wait */
  STORE_READY,       /* what was waited for had come; another process may take it first */
} store_idle_end;

/* Works until nothing is due or `ready`. `restarts`: libc goes on with this call after a handler that was
 * installed with SA_RESTART. */
store_idle_end store_idle(store_ready* ready, const void* wait, bool restarts);
/* Whether another thread, or this one below a signal handler, does so already: store_idle then does nothing.
 */
bool store_is_watched(void);
void store_idle_forked(void); /* in the child */
