/* What is done under the store's lock (lock.h) on request. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "samepage/samepage.h"
#include "store/config.h"

/* The process that this state belongs to. A child of vfork shares the memory and is another. */
pid_t store_process(void);
void store_process_is_forked(void); /* first call of a process; lock held or not needed */

/* Pages that malloc gives up become plain and zero. False: they stay, with what is in them. Any thread,
 * inside malloc. */
bool store_discard(uintptr_t begin, size_t size);
/* The same for what the program gives up, however little that is. Any thread. */
bool store_give_up(uintptr_t begin, size_t size);
/* Makes them plain memory, and leaves them alone from here on (exempt.h). False if that cannot be done: they
 * stay as they are. Any thread. */
bool store_exempt(uintptr_t begin, uintptr_t end);

/* From here on nothing is shared or given back; what is sealed stays so. The statistics say why. */
bool store_share_no_more(samepage_store_reason why); /* whether it did until now */
/* That came to nothing: as before it, `mode` and `awake`. */
void store_share_again(samepage_store_reason why, store_mode mode, bool awake);
/* Undoes everything in this process, for good. False if some of it could not be undone. */
bool store_turn_off(void);
/* By SAMEPAGE_STORE_OFF_FILE. */
void store_turn_off_if_asked(void);
