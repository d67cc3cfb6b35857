/* Sealing: publish the constants that no member of the family has published, and map all that are equal. In
 * steps of some milliseconds. Under the store's lock. */
#pragma once
#include <stdbool.h>

typedef enum {
  STORE_DONE,    /* nothing is left to do */
  STORE_MORE,    /* call again */
  STORE_WAITING, /* another process is publishing what is left */
  STORE_REFUSED, /* nothing can be done now, or ever: the reason is counted */
} store_progress;

/* Without `may_publish` it maps what others have published, and waits for the rest. */
store_progress store_seal_some(bool may_publish);
/* Before a fork: what this process publishes from here on is for those alone whom it forks from here on. */
bool store_seal_renew_family(void);
void store_seal_forked(void); /* in the child */
