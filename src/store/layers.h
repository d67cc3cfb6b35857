/* Re-seal: pages that have come to hold other bytes than the store's, the same in several processes (state
 * that each builds when it first needs it, inline caches), are published once more: a *layer*, a further file
 * of their block, mapped over them where they are equal to it.
 *
 * How members find out: of a page that stays different, each leaves a note in the control area, a hash of its
 * bytes; who finds a relative's note that says the same publishes such pages at the end of its pass. Notes
 * are hints, like everything there. A process that has forked leaves none: its workers may be another user's.
 *
 * Under the store's lock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/pages.h"

/* At the beginning of a pass. */
void store_layers_begin(void);

/* Before a batch of a pass: opens what was published; after it. */
void store_layers_open(void);
void store_layers_close(void);

/* Whether there is one that this process has not had a pass with. */
bool store_layers_fresh(void);

/* In a batch: of the chunk at `begin`, mapped from `file`, the pages that stay different (bits) are mapped
 * from a layer where they can be; how many were. Notes the others. */
unsigned store_layers_chunk(int file, unsigned begin, const uint64_t differ[STORE_CHUNK / 64]);

/* At the end of a pass: publishes what this process has in common with relatives, if it is worth it. False:
 * call again. */
bool store_layers_publish_some(int64_t deadline);

void store_layers_forked(bool in_child);
