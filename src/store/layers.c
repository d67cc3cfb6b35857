#define _GNU_SOURCE
#include "store/layers.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "store/batch.h"
#include "store/block.h"
#include "store/family.h"
#include "store/headroom.h"
#include "store/publish.h"
#include "store/system.h"

enum {
  LAYERS = 3,     /* of a block, at most: their files live as long as the family */
  SHORT_RUN = 4,  /* pages; fewer are not worth a mapping */
  WORTH_IT = 128, /* pages; fewer are not worth a file */
};

/* What this pass found that a relative has too, by the block's first file; the files of which that is some.
 */
static store_pages common[STORE_FILES];
static uint64_t common_in;
static int publishing = -1; /* the layer's file, */
static uintptr_t publishing_at;
static int publishing_for; /* and the block's */
static bool fresh, has_forked;

static bool is_over(int layer, uintptr_t address) {
  const store_block* block = &store_blocks[layer];
  return block->view && block->layer && block->address == address;
}

/* The first file of the block at this address; -1. */
static int first_file(uintptr_t address) {
  for (int file = 0; file < STORE_FILES; ++file)
    if (store_blocks[file].view && !store_blocks[file].layer && store_blocks[file].address == address)
      return file;
  return -1;
}

void store_layers_begin(void) {
  fresh = false;
  if (publishing < 0) common_in = 0;
}

void store_layers_open(void) {
  for (int file = 0; file < STORE_FILES; ++file) {
    const uintptr_t at = store_file_address(file), number = at % STORE_BLOCK;
    if (number < 1 || number > LAYERS || store_file_state_of(file) != STORE_PUBLISHED) continue;
    const bool is_new = !store_blocks[file].view;
    if ((is_new && first_file(at - number) < 0) || !store_block_open(file, at - number)) continue;
    store_blocks[file].layer = true;
    if (is_new) fresh = true;
  }
}

void store_layers_close(void) {
  for (int file = 0; file < STORE_FILES; ++file) {
    if (!store_blocks[file].layer) continue;
    store_block_close(file);
    store_block_forget(file);
  }
}

bool store_layers_fresh(void) {
  return fresh;
}

/* ---- in a batch ---- */

static bool has(const uint64_t* bits, unsigned i) {
  return bits[i / 64] >> (i % 64) & 1;
}

/* Maps the runs of `left` that the layer has, and takes them out of it. */
static unsigned map_from(int layer, int file, unsigned begin, uint64_t* left) {
  const store_block* over = &store_blocks[layer];
  unsigned mapped = 0;
  for (unsigned i = 0, run; i < STORE_CHUNK; i = run + 1) {
    for (run = i; run < STORE_CHUNK && has(left, run) && store_pages_has(&over->present, begin + run);
         ++run) {
    }
    if (run - i < SHORT_RUN || !store_batch_may_map() ||
        !store_block_map_over(layer, file, begin + i, begin + run))
      continue;
    mapped += run - i;
    for (; i < run; ++i) left[i / 64] &= ~((uint64_t)1 << (i % 64));
  }
  return mapped;
}

static void note(int file, unsigned page) {
  const void* bytes = (const char*)store_blocks[file].address + (uintptr_t)page * STORE_PAGE;
  if (!store_family_note(file, page, XXH3_64bits(bytes, STORE_PAGE)) || publishing >= 0) return;
  const uint64_t one = (uint64_t)1 << file;
  if (!(common_in & one)) common[file] = (store_pages){{0}};
  common_in |= one;
  store_pages_add(&common[file], page);
}

unsigned store_layers_chunk(int file, unsigned begin, const uint64_t differ[STORE_CHUNK / 64]) {
  const uintptr_t address = store_blocks[file].address;
  uint64_t left[STORE_CHUNK / 64], any = 0;
  for (unsigned i = 0; i < STORE_CHUNK / 64; ++i) any |= left[i] = differ[i];
  if (!any) return 0;
  unsigned mapped = 0;
  for (int layer = STORE_FILES - 1; layer >= 0; --layer)
    if (layer != file && is_over(layer, address)) mapped += map_from(layer, file, begin, left);
  const int first = first_file(address);
  for (unsigned i = 0; first >= 0 && !has_forked && i < STORE_CHUNK; ++i)
    if (has(left, i)) note(first, begin + i);
  return mapped;
}

/* ---- publishing ---- */

static unsigned drop_short_runs(store_pages* pages) {
  unsigned count = 0;
  for (unsigned page = 0, run; page < STORE_PAGES; page = run + 1) {
    for (run = page; run < STORE_PAGES && store_pages_has(pages, run); ++run) {
    }
    if (run - page >= SHORT_RUN) count += run - page;
    for (; run - page < SHORT_RUN && page < run; ++page) store_pages_remove(pages, page);
  }
  return count;
}

/* Claims the file of the block's next layer. */
static void claim_layer(uintptr_t address) {
  if (!store_file_may_be_claimed() || !store_has_headroom()) return;
  for (publishing_at = address + 1; publishing_at <= address + LAYERS; ++publishing_at) {
    const int file = store_family_file(publishing_at);
    if (file < 0) return;
    if (store_file_state_of(file) == STORE_PUBLISHED) continue;
    if (store_file_state_of(file) == STORE_FREE && store_file_claim(file)) publishing = file;
    return;
  }
}

/* The next block of those with something in common that is worth it. */
static void begin_publishing(void) {
  for (int file = 0; common_in && publishing < 0; ++file) {
    const uint64_t one = (uint64_t)1 << file;
    if ((common_in & one) && drop_short_runs(&common[file]) >= WORTH_IT) {
      publishing_for = file;
      claim_layer(store_blocks[file].address);
    }
    common_in &= ~one;
  }
}

bool store_layers_publish_some(int64_t deadline) {
  if (publishing < 0) begin_publishing();
  if (publishing < 0) return true;
  if (!store_file_claimed(publishing))
    store_publish_give_up();
  else if (store_publish_some(publishing, publishing_at, &common[publishing_for], deadline) ==
           STORE_FILL_MORE)
    return false;
  publishing = -1;
  return !common_in;
}

void store_layers_forked(bool in_child) {
  has_forked = !in_child;
  if (!in_child) return;
  publishing = -1;
  common_in = 0;
}
