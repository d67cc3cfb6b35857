/* Sealing: publish the constants that no member of the family has published, and map all that are equal. In
 * steps of some milliseconds. Under the store's lock. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef enum {
  STORE_DONE,    /* nothing is left to do */
  STORE_MORE,    /* call again */
  STORE_WAITING, /* another process is publishing what is left */
  STORE_REFUSED, /* nothing can be done now, or ever: the reason is counted */
} store_progress;

/* Without `may_publish` it maps what others have published, and waits for the rest. */
store_progress store_seal_some(bool may_publish);
/* Bytes of this process's constants that no file has: never sealed, or changed since. Reads its page tables.
 */
size_t store_seal_own(void);
/* What this process has is its workers' too, by the fork, and may be published for those to come. */
void store_seal_has_workers(void);
void store_seal_forked(void); /* in the child */
