/* Parts of the constants for which the program has given the kernel rules of its own (madvise(2): not for its
 * children, zero for them, not in a core dump, guards), which no mapping of a file in their place would keep.
 * They are plain memory for good, and are not published. Under the store's lock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* False, and they are not noted, if there are too many. */
bool store_exempt_add(uintptr_t begin, uintptr_t end);
bool store_is_exempt(uintptr_t page);
/* The first part of [begin, end) that is not; false if there is none. */
bool store_exempt_skip(uintptr_t begin, uintptr_t end, uintptr_t* first, uintptr_t* last);
