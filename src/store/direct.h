/* Constants that are allocated in the memory files of their blocks, so that sealing copies nothing: the files
 * are mapped shared while the process is alone, and privately, sealed, from its first fork or seal on. Only
 * on request: a child that is made behind libc's back (clone(2)) before that would write into its parent's
 * memory.
 *
 * Under the store's lock, but where it says so. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* From here on. False: there are relatives already, no files, or limits under which mapping anew may fail. */
bool store_direct_begin(void);
/* Fresh memory for constants. Inside malloc, without the lock. */
void store_direct_grown(uintptr_t begin, size_t size);

/* Whether memory is mapped from files that store_blocks does not know. No lock. */
bool store_direct_holds(void);
/* What malloc gives up is zero when it is read next. Inside malloc. */
bool store_direct_discard(uintptr_t begin, size_t size);

/* Before anything else may share the memory. */
void store_direct_end(void);
