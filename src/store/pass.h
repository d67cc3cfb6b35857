/* Re-share: a pass finds the private pages among those that are mapped from the store, compares each with the
 * store's, and drops those that are equal, many in one call. In steps; under the store's lock.
 *
 * A page that is private again at pass after pass is given up: each time cost a fault, and brought little. A
 * page that never is equal is compared more and more seldom. A 2 MB chunk of which most pages stay different
 * becomes plain memory again. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  bool done;           /* the pass has come to the end */
  bool refused;        /* it could not go on; it starts anew next time */
  int64_t cpu_ns;      /* of the whole pass so far, */
  int64_t own_faults;  /* and page faults: of the view that is compared with */
  unsigned compared;   /* pages, by the whole pass so far, */
  unsigned given_back; /* and those that were equal */
  unsigned faults;     /* pages that the last pass gave back and that are private again */
  unsigned given_up;   /* private pages that were left because they are given up */
} store_pass;

/* One batch of the pass that is under way, or of a new one, of so many nanoseconds at most. `all`: also pages
 * that were given up. */
const store_pass* store_pass_some(bool all, int64_t longest_ns);
bool store_pass_under_way(void);
void store_pass_forked(void); /* in the child */
