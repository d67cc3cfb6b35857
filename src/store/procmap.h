/* Single mappings of this process, of which the kernel can be asked (PROCMAP_QUERY, Linux 6.11 and later): of
 * thousands a few, where /proc/self/maps writes all as text.
 *
 * Under the store's lock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  uintptr_t begin, end;
  bool is_plain;    /* private, to be read and written, not to be executed */
  const char* name; /* as in /proc/self/maps; until the next question */
} store_procmap;

typedef enum { STORE_SHARED, STORE_WRITABLE } store_procmap_kind;

/* The first mapping of that kind that holds `from` or lies behind it. 1, 0 if there is none, -1 if the kernel
 * does not say. `maps`: /proc/self/maps, open. */
int store_procmap_next(int maps, uintptr_t from, store_procmap_kind kind, store_procmap* found);
