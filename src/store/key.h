/* What a memory file is for: its *key*, the address of its block plus its number there. Number 0 has the
 * block as it was first sealed; then come its layers (layers.h), then what came since (later.h). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/pages.h"

enum {
  STORE_LAYERS = 3,                    /* of a block, at most, in a family */
  STORE_LAST_FILE = STORE_LAYERS + 16, /* of a block */
};

static inline unsigned store_key_number(uintptr_t key) {
  return (unsigned)(key % STORE_BLOCK);
}
static inline uintptr_t store_key_block(uintptr_t key) {
  return key - store_key_number(key);
}
/* Those that are published in passes. */
static inline bool store_key_is_layer(uintptr_t key) {
  return store_key_number(key) > 0 && store_key_number(key) <= STORE_LAYERS;
}
