/* A batch: a few milliseconds in which this thread alone runs and may change the mappings of constants.
 *
 * No other thread and no signal handler of the process writes to its memory meanwhile, nor does the kernel
 * for it: other threads are stopped (stop.h), signals blocked (lock.h), and where anything else may write
 * (pinned memory, AIO, io_uring, a debugger) no batch begins and the reason is counted.
 *
 * Under the store's lock. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A batch is over after so long; what is left is for the next one. Shorter than a time slice of the
 * scheduler's, so that the threads that it stops do not wait for other processes as well. */
enum { STORE_BATCH_NS = 2500000, STORE_SHORT_BATCH_NS = 1000000 };
bool store_batch_begin(int64_t longest_ns);
bool store_batch_over(void);
void store_batch_end(void);
/* The next batch begins with a time slice of its own; if there was one since store_batch_none_yet(), which
 * has seen no sandbox. */
void store_batch_none_yet(void);
void store_batch_yield(void);

/* Whether there may be more mappings, of which the kernel allows a process vm.max_map_count, and of address
 * space. */
bool store_batch_may_map(void);

/* Whether malloc may make one more hole in a mapping: so many, until a batch has seen that there are few.
 * Without a batch. */
bool store_batch_may_split(void);

/* The first stretch of plain read-write memory, or of the store's, in [begin, end): what a program has
 * protected, or mapped there itself, is left alone. */
bool store_batch_usable(uintptr_t begin, uintptr_t end, uintptr_t* first, uintptr_t* last);
/* The same, of plain memory alone. */
bool store_batch_plain(uintptr_t begin, uintptr_t end, uintptr_t* first, uintptr_t* last);
/* The same, of the store's alone: a page that a program mapped there itself is no copy of the store's. */
bool store_batch_of_store(uintptr_t begin, uintptr_t end, uintptr_t* first, uintptr_t* last);

/* Gives pages of the store's mappings back, so that the file's show: many runs in one call, as every call
 * makes all processors forget addresses. Done when the batch ends, or at once by store_batch_drop_now(),
 * which comes before such pages are mapped anew. */
void store_batch_drop(uintptr_t address, size_t size);
void store_batch_drop_now(void);
