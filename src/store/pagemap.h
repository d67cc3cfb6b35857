/* Which pages of this process are private to it: /proc/self/pagemap, which needs no privilege, but a process
 * that may be looked into (not one that has changed its user). See Documentation/admin-guide/mm/pagemap.rst.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/pages.h"

/* Bits of an entry. */
#define STORE_PRESENT ((uint64_t)1 << 63)
#define STORE_SWAPPED ((uint64_t)1 << 62)
#define STORE_OF_FILE ((uint64_t)1 << 61) /* a file's page, not yet copied; clear: anonymous */
#define STORE_MAPPED_ONCE ((uint64_t)1 << 56)

/* Not the file's page (any more). */
static inline bool store_is_private(uint64_t entry) {
  return (entry & STORE_PRESENT) && !(entry & STORE_OF_FILE);
}

/* The same, or swapped out. */
static inline bool store_is_own(uint64_t entry) {
  return (entry & (STORE_PRESENT | STORE_SWAPPED)) && !(entry & STORE_OF_FILE);
}

/* A descriptor for the time of one batch, closed by store_call(SYS_close); -1, and the reason counted. */
int store_pagemap_open(void);
/* The entries of STORE_CHUNK pages from `address` on. */
bool store_pagemap_read(int pagemap, uintptr_t address, uint64_t entries[STORE_CHUNK]);
