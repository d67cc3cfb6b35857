/* The SAMEPAGE_* variables that the heap reads, once, when its constructor runs (docs/heap.md lists them).
 * Before that, and in setuid programs, the defaults below hold. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { HEAP_KSM_NONE, HEAP_KSM_CONSTANT, HEAP_KSM_ALL } heap_ksm_mode;

typedef struct {
  bool known; /* the environment has been read */
  heap_ksm_mode ksm;
  size_t ksm_min; /* bytes */
  bool settle_auto;
  int64_t settle_quiet_ms;
  size_t settle_min;       /* bytes */
  const char* settle_file; /* or NULL */
} heap_configuration;

extern heap_configuration heap_config;
