/* Fills a memory file with this process's constants. Runs beside the program's threads: what they write
 * meanwhile differs when the page is compared, and stays theirs. Under the store's lock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/pages.h"

typedef enum { STORE_FILL_MORE, STORE_FILLED, STORE_FILL_FAILED } store_fill;

/* Goes on with a file that this process has claimed, until `deadline` (store_now_ns). `only` these pages of
 * its block; NULL: all. */
store_fill store_publish_some(int file, uintptr_t key, const store_pages* only, int64_t deadline);
/* Before anything else of a step: gives back what was written to a file that another process, which has heard
 * nothing for too long, publishes in this one's place. */
void store_publish_only_needed(void);
void store_publish_give_up(void); /* what is being filled, if anything is */
void store_publish_forked(void);  /* in the child: what is being filled is its parent's */
