/* The store's SAMEPAGE_* variables (docs/store.md), read once, when the library's constructor runs. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

typedef enum { STORE_AUTO, STORE_MANUAL, STORE_OFF } store_mode;

typedef struct {
  store_mode mode;
  bool is_known;          /* the constructor has run */
  bool reshare;           /* passes by themselves */
  bool layers;            /* pages that changed alike are published again */
  double budget;          /* part of its CPU time, 0…1 */
  size_t minimum;         /* bytes of constants */
  const char* holder;     /* holder.h; or NULL */
  bool joined;            /* it is shared by jobs that come at any time */
  bool across;            /* and by processes of other cgroups */
  const char* off_file;   /* or NULL */
  const char* statistics; /* or NULL */
} store_configuration;

extern store_configuration store_config;

void store_config_read(void);
