/* Stops all other threads of this process for a moment, as a debugger does: a helper process that shares the
 * memory attaches to them with ptrace(2) and lets them go again. A thread that was in a blocking system call
 * goes on with it; a few calls return EINTR then (epoll_wait, sem_wait, …: signal(7), "Interruption of system
 * calls by stop signals").
 *
 * Under the store's lock, with signals blocked. */
#pragma once
#include <stdbool.h>

/* False, and all threads run, if any of them did not stop within a few milliseconds or may not be traced. */
bool store_stop_others(void);
void store_resume_others(void);
/* In a child: nobody is named there (prctl(2), PR_SET_PTRACER). */
void store_stop_forked(void);
