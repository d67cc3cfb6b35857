#include "store/exempt.h"

enum { PARTS = 256 };

static struct { uintptr_t begin, end; } parts[PARTS];
static unsigned part_count;

bool store_exempt_add(uintptr_t begin, uintptr_t end) {
  for (unsigned i = 0; i < part_count;) {
    if (begin > parts[i].end || end < parts[i].begin) {
      ++i;
      continue;
    }
    if (parts[i].begin < begin) begin = parts[i].begin;
    if (parts[i].end > end) end = parts[i].end;
    parts[i] = parts[--part_count];
    i = 0;
  }
  if (part_count == PARTS) return false;
  parts[part_count].begin = begin;
  parts[part_count++].end = end;
  return true;
}

/* The part that holds it; or -1. */
static int part_of(uintptr_t address) {
  for (unsigned i = 0; i < part_count; ++i)
    if (parts[i].begin <= address && address < parts[i].end) return (int)i;
  return -1;
}

bool store_is_exempt(uintptr_t page) {
  return part_of(page) >= 0;
}

bool store_exempt_skip(uintptr_t begin, uintptr_t end, uintptr_t* first, uintptr_t* last) {
  for (int part; begin < end && (part = part_of(begin)) >= 0;) begin = parts[part].end;
  if (begin >= end) return false;
  *first = begin;
  *last = end;
  for (unsigned i = 0; i < part_count; ++i)
    if (parts[i].begin > begin && parts[i].begin < *last) *last = parts[i].begin;
  return true;
}
