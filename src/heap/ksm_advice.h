/* Registers the heap's memory with KSM (madvise(2), MADV_MERGEABLE): a policy of the heap, off unless asked.
 * - constant: the constants in one large range when the process settles; extents of events are taken out
 *   again where the whole process was opted in with PR_SET_MEMORY_MERGE.
 * - all: everything, as it is mapped. */
#pragma once
#include <stddef.h>

#include "heap/config.h"

/* Called once, from the heap's constructor. `minimum`: constants smaller than this are not registered. */
void heap_ksm_advise(heap_ksm_mode mode, size_t minimum);
size_t heap_ksm_registered(void); /* bytes */
