#define _GNU_SOURCE
#include "store/layers.h"

#include <string.h>
#include <sys/resource.h>

#include "store/batch.h"
#include "store/block.h"
#include "store/cgroup.h"
#include "store/config.h"
#include "store/family.h"
#include "store/statistics.h"
#include "store/system.h"

enum { WORTH_IT = 128 }; /* pages; fewer are not worth a file */

/* What this pass found that a relative has too, by the block's file; the files of which that is some. */
static store_pages common[STORE_FILES];
static bool is_common_in[STORE_FILES], any_common;

static int publishing = -1; /* the layer's file, */
static int publishing_for;  /* the block's, */
static unsigned published;  /* and the pages that are done */

static bool has_forked;
/* Layers that were opened: ever, before this pass, and before the last one that came to its end. */
static unsigned opened, opened_before, had_a_pass;

static void forget_common(void) {
  if (any_common) memset(is_common_in, 0, sizeof is_common_in);
  any_common = false;
}

/* Maps the views of layers that were published since. */
static void open_new(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur != RLIM_INFINITY) return;
  for (int file = 0; file < STORE_FILES; ++file) {
    const uintptr_t key = store_file_key(file);
    if (!store_key_is_layer(key) || store_blocks[file].view || store_file_state_of(file) != STORE_PUBLISHED ||
        store_block_with(store_key_block(key)) < 0 || !store_block_open(file, key))
      continue;
    store_block_close(file);
    ++opened;
  }
}

void store_layers_begin(void) {
  open_new();
  opened_before = opened;
  if (publishing < 0) forget_common();
}

void store_layers_end(void) {
  had_a_pass = opened_before;
}

bool store_layers_fresh(void) {
  return opened_before != had_a_pass;
}

void store_layers_close(void) {
  for (int file = 0; file < store_blocks_end; ++file) {
    if (!store_block_is_over(&store_blocks[file], store_blocks[file].address)) continue;
    store_block_close(file);
    store_block_forget(file);
  }
}

/* ---- in a batch ---- */

static bool has(const uint64_t* bits, unsigned i) {
  return bits[i / 64] >> (i % 64) & 1;
}

static const unsigned char* bytes_of(int file, unsigned page) {
  return (const unsigned char*)store_blocks[file].address + (size_t)page * STORE_PAGE;
}

static bool is_equal(int layer, unsigned page) {
  return store_pages_has(&store_blocks[layer].present, page) && store_block_is_equal(layer, page);
}

unsigned store_layers_map(int layer, unsigned begin, uint64_t left[STORE_CHUNK / 64]) {
  unsigned mapped = 0;
  for (unsigned i = 0, run; i < STORE_CHUNK; i = run + 1) {
    for (run = i; run < STORE_CHUNK && has(left, run) && is_equal(layer, begin + run); ++run) {
    }
    if (run - i < STORE_SHORT_RUN || !store_batch_may_map() ||
        !store_block_open(layer, store_blocks[layer].key) ||
        !store_block_map_over(layer, begin + i, begin + run))
      continue;
    mapped += run - i;
    for (; i < run; ++i) left[i / 64] &= ~((uint64_t)1 << (i % 64));
  }
  return mapped;
}

static void note(int file, unsigned page) {
  if (!store_family_note(file, page, bytes_of(file, page)) || publishing >= 0) return;
  if (!is_common_in[file]) common[file] = (store_pages){{0}};
  is_common_in[file] = any_common = true;
  store_pages_add(&common[file], page);
}

unsigned store_layers_chunk(int file, unsigned begin, const uint64_t differ[STORE_CHUNK / 64]) {
  const uintptr_t address = store_blocks[file].address;
  uint64_t left[STORE_CHUNK / 64], any = 0;
  for (unsigned i = 0; i < STORE_CHUNK / 64; ++i) any |= left[i] = differ[i];
  if (!any) return 0;
  unsigned mapped = 0;
  for (int layer = store_blocks_end - 1; layer >= 0; --layer)
    if (layer != file && store_block_is_over(&store_blocks[layer], address))
      mapped += store_layers_map(layer, begin, left);
  const int block = store_config.layers && !has_forked ? store_block_with(address) : -1;
  for (unsigned i = 0; block >= 0 && i < STORE_CHUNK; ++i)
    if (has(left, i)) note(block, begin + i);
  return mapped;
}

/* ---- publishing ---- */

/* Claims the file of the block's next layer. */
static void claim_layer(int block) {
  const uintptr_t address = store_blocks[block].address;
  if (!store_file_may_be_claimed() || !store_has_headroom()) return;
  for (uintptr_t number = 1; number <= STORE_LAYERS; ++number) {
    if (!store_family_has_spare_files()) return;
    const int file = store_family_file(address + number);
    if (file < 0) return;
    if (store_file_state_of(file) == STORE_PUBLISHED) continue;
    if (store_file_state_of(file) == STORE_FREE && store_file_claim(file)) {
      publishing = file;
      publishing_for = block;
      published = 0;
    }
    return;
  }
}

/* The next block of those with something in common that is worth it. */
static void begin_publishing(void) {
  for (int file = 0; any_common && file < store_blocks_end && publishing < 0; ++file) {
    if (is_common_in[file] && store_blocks[file].view &&
        store_pages_drop_short_runs(&common[file]) >= WORTH_IT)
      claim_layer(file);
    is_common_in[file] = false;
  }
  if (publishing < 0) any_common = false;
}

void store_layers_give_up(void) {
  if (publishing >= 0) store_file_abandon(publishing);
  publishing = -1;
  forget_common();
}

/* A page that is no longer what a relative has noted is this process's own business. */
static bool may_be_published(unsigned page) {
  const uintptr_t at = (uintptr_t)bytes_of(publishing_for, page);
  uintptr_t first, last;
  return store_pages_has(&common[publishing_for], page) &&
         store_batch_usable(at, at + STORE_PAGE, &first, &last) && first == at && last == at + STORE_PAGE &&
         store_family_noted(publishing_for, page, (const void*)at);
}

/* In a batch: nothing changes between look and copy. */
static bool write_some(int fd) {
  while (published < STORE_PAGES && !store_batch_over()) {
    unsigned run = published;
    while (run < STORE_PAGES && run - published < STORE_CHUNK / 4 && may_be_published(run)) ++run;
    const size_t size = (size_t)(run - published) * STORE_PAGE;
    if (size && store_call(SYS_pwrite64, fd, bytes_of(publishing_for, published), size,
                           (size_t)published * STORE_PAGE) != (long)size)
      return store_refuse(SAMEPAGE_STORE_MEMORY);
    store_statistics.published += size;
    published = size ? run : run + 1;
  }
  return true;
}

bool store_layers_publish_some(int64_t longest_ns) {
  if (publishing < 0) begin_publishing();
  if (publishing < 0) return true;
  const int fd = store_file_claimed(publishing) ? store_file_writer(publishing) : -1;
  bool good = fd >= 0 && store_batch_begin(longest_ns);
  if (good) {
    good = write_some(fd);
    store_batch_end();
  }
  if (fd >= 0) store_call(SYS_close, fd);
  if (good && published < STORE_PAGES) return false;
  if (good && store_file_publish(publishing))
    publishing = -1;
  else
    store_layers_give_up();
  return !any_common;
}

void store_layers_forked(bool in_child) {
  has_forked = !in_child;
  if (!in_child) store_layers_give_up();
  publishing = -1;
  forget_common();
}
