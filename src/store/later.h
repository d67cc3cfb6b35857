/* What came when its block was sealed already, beside what its files have or at addresses that were freed;
 * and of a parent what it has changed since, for workers to come, who have it by the fork. It
 * goes to further files of the block, numbered on (key.h).
 *
 * Under the store's lock. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/pages.h"

/* Bytes of this process's constants that no file has. Reads its page tables. */
size_t store_later_own(void);

/* In batches of its own: what of it there is in a block, or nothing if that is not worth a file. False if no
 * batch could be had. */
bool store_later_find(uintptr_t address, store_pages* came);

/* In a batch: private copies of other files' pages, of a chunk with these entries of pagemap, are mapped from
 * the further file `file` where they are equal. */
void store_later_map_copies(int file, unsigned chunk, const uint64_t entries[STORE_CHUNK]);

/* A file of this block of which later ones have nearly all by now, so that its memory is not kept for the
 * rest; or -1. */
int store_later_superseded(uintptr_t address);

/* Whether this process is a parent that publishes for workers to come; false in a child. */
void store_later_for_workers(bool it_is);
