/* System calls as the store makes them: past libc's wrappers, which are cancellation points and which the
 * program (or the store itself, store/idle.c) may have replaced. -1 and errno on failure, as libc does. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define store_call(...) syscall(__VA_ARGS__)

static inline int64_t store_clock_ns(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static inline int64_t store_now_ns(void) {
  return store_clock_ns(CLOCK_MONOTONIC);
}

/* A read-only view of a file, at an address at which its 2 MB pages can be mapped as such: the kernel sees to
 * that itself only where huge pages of shared memory are on. NULL if there is no room. */
const void* store_map_view(int fd, size_t offset, size_t size);

/* All signals, for this thread; what was blocked before. */
uint64_t store_block_signals(void);
void store_restore_signals(uint64_t before);

/* As the kernel has it. */
struct store_action {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};
bool store_get_action(int signal, struct store_action* action);
/* The same; false also where it is ignored or has its default: the program has no handler. */
bool store_get_handler(int signal, struct store_action* action);

/* The beginning of a small file, as a string that fits; false if it cannot be read or is empty. */
bool store_read_text(const char* path, char* text, size_t size);
