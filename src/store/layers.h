/* Re-seal: pages that have come to hold other bytes than the store's, the same in several processes (state
 * that each builds when it first needs it, inline caches), are published once more: a *layer*, a further file
 * of their block, mapped over them where they are equal to it.
 *
 * How members find out: of a page that stays different, each leaves a note in the control area, a hash of its
 * bytes; who finds that a relative has noted the same bytes publishes such pages at the end of its pass.
 * Notes and layers can be read by all members, which may have become another user's: a process of root, and
 * one that has forked, leaves none and publishes none.
 *
 * Under the store's lock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/pages.h"

/* At the beginning and at the end of a pass. */
void store_layers_begin(void);
void store_layers_end(void);
/* Whether there is one that this process has not had a whole pass with. */
bool store_layers_fresh(void);

/* After a batch. */
void store_layers_close(void);

/* In a batch: of the chunk at `begin`, mapped from `file`, the pages that stay different (bits) are mapped
 * from a layer where they can be; how many were. Notes the others. */
unsigned store_layers_chunk(int file, unsigned begin, const uint64_t differ[STORE_CHUNK / 64]);

/* Of them, those of which one layer has a run are mapped from it, and taken out of `left`; how many were. */
unsigned store_layers_map(int layer, unsigned begin, uint64_t left[STORE_CHUNK / 64]);

/* When all chunks are done: publishes what this process has in common with relatives, if it is worth it, for
 * so long at most. False: call again. */
bool store_layers_publish_some(int64_t longest_ns);
/* What is being published. */
void store_layers_give_up(void);

void store_layers_forked(bool in_child);
