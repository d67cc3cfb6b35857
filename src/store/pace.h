/* When passes are made, so that they pay for themselves: while a process idles they may take a part of the
 * time; while it works they are paid from its CPU time, or from processors that have nothing else to do. What
 * a pass costs are its own CPU time and the faults that it causes. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/pass.h"

/* In a new process. Times are store_now_ns(). */
void store_pace_begin(int64_t now);

/* After sealing, under the store's lock: until the first pass only what comes then is its debt. */
void store_pace_sealed(void);

/* Any thread, no lock. Whether a pass is due that the process has earned by its work; */
bool store_pace_paid(int64_t now);
/* or one for when it is idle. */
bool store_pace_idle(int64_t now);
/* When an idle process may have its next pass; INT64_MAX if it has done nothing that one could take back. */
int64_t store_pace_next(void);

/* Before and after a pass, under the store's lock. A process may work for long between two batches of one,
 * and write to what that has seen already: from its beginning on, all is the next one's. True if it was worth
 * it. */
void store_pace_pass_begins(void);
bool store_pace_passed(const store_pass* pass);
