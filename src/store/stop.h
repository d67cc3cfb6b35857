/* Stops all other threads of this process for a moment, as a debugger does: a helper process that shares the
 * memory attaches to them with ptrace(2) and lets them go again. A thread that was in a blocking system call
 * goes on with it; a few calls return EINTR then (epoll_wait, sem_wait, …: signal(7), "Interruption of system
 * calls by stop signals").
 *
 * Under the store's lock, with signals blocked. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* False, and all threads run, if any of them did not stop within a few milliseconds or may not be traced. */
bool store_stop_others(void);
/* Signals that the process's first thread, when it is the caller, takes as soon as it unblocks them again:
 * those that come for the process meanwhile, and that it has handlers for, the kernel would give to whichever
 * thread goes on first. 0: none. */
void store_stop_takes(uint64_t signals);
void store_resume_others(void);
