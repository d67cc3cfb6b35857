/* What /proc/self says about this process and its constants, read at the start of a batch. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STORE_STRETCHES = 4096 };

typedef struct {
  unsigned threads;
  bool pinned, traced, async_io;
  bool has_locked; /* memory anywhere */
  bool locked;     /* in the range that was asked for, or every mapping to come (mlock(2), mlockall(2)) */
  bool filtered;   /* by seccomp(2) */
  bool foreign;    /* /proc is of another PID namespace: its numbers are not this process's */
  size_t address_space; /* bytes */
  unsigned maps;        /* 0: not counted yet */
  /* Private read-write mappings of no file, or of the store's files, in the range that was asked for;
   * without what is exempt (exempt.h). */
  struct {
    uintptr_t begin, end;
    bool of_store;
  } stretches[STORE_STRETCHES]; /* ascending */
  unsigned stretch_count;
} store_survey;

/* False if /proc cannot be read. */
bool store_survey_process(store_survey* survey);
bool store_survey_maps(store_survey* survey, uintptr_t begin, uintptr_t end);
/* All mappings of this process: takes some 0.3 µs each. UINT_MAX if they cannot be counted. */
unsigned store_survey_count_maps(store_survey* survey);

/* A mapping of a store's file, as far as it lies in the range that was asked for. */
typedef struct {
  uintptr_t begin, end;
  size_t offset;  /* in the file */
  int protection; /* PROT_READ … */
} store_mapping;

/* Calls `each` for the shared ones, or the private ones, in [begin, end), which may map them anew. */
bool store_survey_files(uintptr_t begin, uintptr_t end, bool shared,
                        void (*each)(const store_mapping* it, void* context), void* context);
