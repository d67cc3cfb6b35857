/* Finds the moment when initialisation is over in a process that does not fork.
 *
 * Looked at while threads allocate (jemalloc calls back about every 64 kB of a thread's allocation and
 * freeing), at most every 100 ms, in the constant phase only:
 * - `auto` (the default): the constant extents hold at least SAMEPAGE_SETTLE_MIN (32 MB) and have not grown
 * for max(SAMEPAGE_SETTLE_QUIET = 2 s, half of the time in which they grew), in CPU time of the process, so
 * that a starved process is not taken for a finished one. If after that more than 10 % of the constants are
 * freed again, the guess was wrong: the heap goes back to the constant phase for good.
 * - a file: SAMEPAGE_SETTLE_FILE=PATH settles the process as soon as PATH exists ("from outside").
 * - `off`: SAMEPAGE_SETTLE=off leaves it to samepage_settle().
 * A process that neither allocates nor calls settle is not settled, and loses nothing by it. */
#pragma once
#include <stddef.h>

void heap_settle_watch_thread(void); /* once per thread, when it is bound */
/* How often policies get their tick: at most every so many milliseconds (100). Any thread, any time. */
void heap_tick_every(int milliseconds);
void heap_settle_never_again(void); /* a forked child: past settle already */
void heap_constants_freed(size_t bytes);
void heap_constants_freed_anew(void); /* at a settle or a fork */
size_t heap_constants_freed_total(void);
