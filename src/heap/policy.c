#include "heap/policy.h"

static heap_policy* first;

void heap_policy_register(heap_policy* policy) {
  policy->next = first;
  first = policy;
}

void heap_policy_settled(void) {
  for (heap_policy* p = first; p; p = p->next)
    if (p->settled) p->settled();
}

void heap_policy_unsettled(void) {
  for (heap_policy* p = first; p; p = p->next)
    if (p->unsettled) p->unsettled();
}

void heap_policy_before_fork(void) {
  for (heap_policy* p = first; p; p = p->next)
    if (p->before_fork) p->before_fork();
}

void heap_policy_tick(void) {
  for (heap_policy* p = first; p; p = p->next)
    if (p->tick) p->tick();
}

void heap_policy_grown(heap_role role, void* begin, size_t size) {
  for (heap_policy* p = first; p; p = p->next)
    if (p->grown) p->grown(role, begin, size);
}

bool heap_policy_may_purge(heap_role role, void* begin, size_t size) {
  bool may = true;
  for (heap_policy* p = first; p; p = p->next)
    if (p->may_purge && !p->may_purge(role, begin, size)) may = false;
  return may;
}
