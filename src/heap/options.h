/* jemalloc's options that the heap changes while it runs. */
#pragma once

void heap_options_init(void); /* after jemalloc has read its own */
void heap_options_of_a_worker(void);
