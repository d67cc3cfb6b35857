/* prctl(2) through libc: the store notices when a program confines itself, and whom it names as its tracer.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

/* Where Yama's ptrace_scope is 1 a process is traced by its ancestors alone, or by one that it names
 * (Documentation/admin-guide/LSM/Yama.rst). */
bool store_tracer_must_be_named(void);
void store_name_tracer(pid_t tracer);
void store_name_programs_tracer(void); /* again, or nobody */
/* In a child: nobody is named there. */
void store_prctl_forked(void);
