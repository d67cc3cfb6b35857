/* Whether this process's cgroups (version 2, or 1) leave room for a block that is held twice for a moment: a
 * cgroup at its limit does not refuse memory, it kills. True where no limit is known. */
#pragma once
#include <stdbool.h>

bool store_has_headroom(void);
