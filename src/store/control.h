/* The control area of a family or of a launcher's store (family.h, holder.h): hints that any member may have
 * written. A launcher in C++ reads a copy of it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/holder.h"
#include "store/pages.h"

#ifdef __cplusplus
#define STORE_SHARED(type) type
#else
#include <stdatomic.h>
#define STORE_SHARED(type) _Atomic(type)
#endif

/* An abandoned file is nobody's any more: what it had for others goes to another file. */
typedef enum { STORE_FREE, STORE_FILLING, STORE_PUBLISHED, STORE_ABANDONED } store_file_state;

struct store_entry {
  /* key.h; 0: the file is nobody's yet. Never changes after. */
  STORE_SHARED(uintptr_t) key;
  STORE_SHARED(int) publisher;    /* PID */
  STORE_SHARED(int64_t) heard_ms; /* from it */
  STORE_SHARED(unsigned) state;   /* store_file_state */
  STORE_SHARED(unsigned) left;    /* how often a process has stopped mapping it */
};

struct store_control {
  STORE_SHARED(unsigned) copies;
  STORE_SHARED(int) filling;         /* the file that is being filled, plus one */
  STORE_SHARED(bool) lives_on, maps; /* a worker lives on; somebody has mapped what another published */
  STORE_SHARED(unsigned) published;  /* files, ever, layers not counted */
  struct store_entry entries[STORE_FILES];
};

/* From STORE_NOTES on: of each page of each block, by the number of its first file, what a member last found
 * there that stays different from the store's: a hash of the bytes, above STORE_NOTE_WRITER bits that tell
 * the members apart. */
enum { STORE_NOTE_WRITER = 16 };
struct store_notes {
  STORE_SHARED(uint64_t) pages[STORE_FILES][STORE_PAGES];
};
