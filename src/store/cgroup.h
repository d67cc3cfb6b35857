/* What the store asks of the control groups (version 2, or 1) that memory is charged to. Under the store's
 * lock.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

/* Whether this process's leave room for a block that is held twice for a moment: a cgroup at its limit does
 * not refuse memory, it kills. True where no limit is known. */
bool store_has_headroom(void);

/* Whether that process is in the same one as this. True where it cannot be told. */
bool store_same_cgroup(pid_t process);
