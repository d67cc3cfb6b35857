/* What others may do at the heap's turning points. The heap calls the table below and knows none of them;
 * heap/ksm_advice.c is one, store/when.c another.
 *
 * All functions may run in any thread, inside malloc, with errno to be kept; `grown` and `may_purge` run
 * inside jemalloc's locks and must not allocate. Null entries are skipped. Tables live for ever and are
 * registered before the program has threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "heap/window.h"

typedef struct heap_policy {
  void (*settled)(void);     /* constants are complete; allocation has moved on */
  void (*unsettled)(void);   /* they were not, and allocation is constant again */
  void (*before_fork)(void); /* in the parent, with the heap's lock held: must not allocate or free */
  void (*tick)(void);        /* now and then while a thread allocates */
  void (*grown)(heap_role role, void* begin, size_t size);     /* fresh memory was mapped */
  bool (*may_purge)(heap_role role, void* begin, size_t size); /* false: jemalloc keeps the pages */
  struct heap_policy* next;
} heap_policy;

void heap_policy_register(heap_policy* policy);

void heap_policy_settled(void);
void heap_policy_unsettled(void);
void heap_policy_before_fork(void);
void heap_policy_tick(void);
void heap_policy_grown(heap_role role, void* begin, size_t size);
bool heap_policy_may_purge(heap_role role, void* begin, size_t size);
