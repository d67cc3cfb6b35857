/* Whether the machine has processors to spare: what a pass costs is nobody's loss then. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  int64_t time, idle; /* ns; of all processors together */
} store_rest;

store_rest store_rest_now(void);
/* Whether at most one processor of five was busy since then. False where the kernel does not tell. */
bool store_at_rest_since(const store_rest* then);

/* Whether it was at rest between the last two looks, which are 0.2 to 1 s apart: false where nobody asked for
 * longer. Thread-safe; a thread that comes while another one looks is told no. */
bool store_machine_is_at_rest(void);
/* In a child: what its parent has seen is forgotten. */
void store_rest_forked(void);
