/* jemalloc's options, read by it at its first call: MALLOC_CONF in the environment still overrides them.
 * - narenas:1: threads are bound to arenas of ours; arena 0 is left for jemalloc's own needs.
 * - oversize_threshold:0: large blocks too come from the arena of the thread, so from its role's range. */
#include "heap/jemalloc.h"

__attribute__((visibility("default"))) const char *malloc_conf = "narenas:1,oversize_threshold:0";
