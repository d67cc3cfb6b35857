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

/* How variables are read, here and by the heap's policies. What is not understood is named on standard error
 * and left as it was. */
void heap_config_complain(const char* name, const char* value, const char* wanted);
/* Bytes, with an optional K, M or G (powers of 1024). */
void heap_config_size(const char* name, size_t* size);
/* The index in `choices`, which ends with NULL. */
int heap_config_choice(const char* name, const char* const* choices, const char* wanted, int otherwise);
/* A copy, to be kept for ever; NULL if the variable is empty or missing. */
const char* heap_config_path(const char* name);
