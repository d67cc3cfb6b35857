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
