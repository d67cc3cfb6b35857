/* One block of constants in this process, 32 MB at a multiple of 32 MB, as one of its memory files has it, at
 * the same offsets.
 *
 * `view` shows the file as it is, also where the process has written; it is read for comparing and counts as
 * address space, not as memory: what was read is given up at the end of a batch.
 *
 * Thread-safety: under the store's lock; functions that change mappings need a batch (batch.h) as well. */
#pragma once
#include "store/key.h"
#include "store/pages.h"

typedef struct {
  uintptr_t address, key;             /* key.h */
  const unsigned char* view;          /* NULL: the file is not mapped here */
  int reader;                         /* descriptor of the file while pages are to be mapped; -1 */
  store_pages present;                /* pages that the file holds, and malloc has not given up since */
  unsigned held;                      /* how many it holds */
  unsigned turn;                      /* the number of files that this process had opened before */
  store_pages mapped;                 /* pages of this block that are mapped from the file */
  unsigned compared;                  /* pages before this one were compared when the block was sealed */
  bool sealed;                        /* all of them were */
  unsigned char history[STORE_PAGES]; /* pass.c's, of each page */
  int64_t rewritten_since[STORE_PAGES / STORE_CHUNK]; /* and of each chunk; store_now_ns(), 0: it is not */
  unsigned char whole[STORE_PAGES / STORE_CHUNK];     /* and since when nothing of it is private; pass.c */
} store_block;

/* In the order of their files. Of those from the end on no view was ever mapped, and loops go no further:
 * looking is a page of memory each where the kernel has none of zeros to show (in some virtual machines). */
extern store_block store_blocks[];
extern int store_blocks_end;

/* Opens the published file for mapping and maps the view; false, and the reason counted, if it cannot be. */
bool store_block_open(int file, uintptr_t key);
/* Closes what that opened for mapping: nothing of ours stays open at a number that the program may close. */
void store_block_close(int file);
/* The file with this key, if its view is mapped; or -1. */
int store_block_with(uintptr_t key);
/* Whether it is mapped over others: of the block at this address, but for its first file. */
static inline bool store_block_is_over(const store_block* block, uintptr_t address) {
  return block->view && block->address == address && block->key != address;
}
/* Gives up the memory of the view that was read, not its addresses. */
void store_block_forget(int file);
/* No more pages are to be mapped: descriptors are closed. */
void store_block_done(int file);
/* Unmaps the view and forgets the block; no page of it may be mapped. */
void store_block_drop(int file);

/* Compares the pages [begin, end) of a chunk with the file and maps it. The bytes at the address do not
 * change: pages that differ are private copies, of which a pass gives back those that are equal later. Leaves
 * alone what differs for the most part, not counting pages that are in `own`: this process alone has them, so
 * that copying them takes no more memory. `own` may be NULL. Returns the page that it came to: less than
 * `end` if the batch was over. */
unsigned store_block_map(int file, unsigned begin, unsigned end, const store_pages* own);

/* The same for pages that are private copies of another file's now, and are all equal to this one's. */
bool store_block_map_over(int file, unsigned begin, unsigned end);

/* Whether the process has the same bytes there; in a batch. */
bool store_block_is_equal(int file, unsigned page);

/* Nanoseconds that the first write to a page takes here, as those that mapping made were seen to: 1000 on
 * hardware, 20,000 in some virtual machines. Any thread. */
int64_t store_block_fault_ns(void);

/* Makes [begin, end) of the block plain memory with the bytes it has. */
bool store_block_unmap(int file, unsigned begin, unsigned end);
/* As much of them as a batch of its own allows. False if it cannot be; `*done`: all, but for what the program
 * has protected. */
bool store_block_unmap_some(int file, unsigned begin, unsigned end, bool* done);
/* Makes it plain memory that is zero, of which the file has nothing. Inside malloc, without a batch: nobody
 * reads or writes there. */
bool store_block_discard(int file, unsigned begin, unsigned end);
/* Bytes that it has, ever, of what was mapped. Any thread. */
size_t store_block_discarded(void);
