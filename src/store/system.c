#define _GNU_SOURCE
#include "store/system.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 /* bytes */ };

const void* store_map_view(int fd, size_t offset, size_t size) {
  unsigned char* room =
      mmap(NULL, size + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return NULL;
  unsigned char* at = (unsigned char*)(((uintptr_t)room + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
  munmap(room, size + HUGE_PAGE);
  /* Another thread may be there by now: then the kernel finds another place, which serves as well. */
  const void* view = mmap(at, size, PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, (off_t)offset);
  return view == MAP_FAILED ? NULL : view;
}

uint64_t store_block_signals(void) {
  const uint64_t all = ~(uint64_t)0;
  uint64_t before = 0;
  store_call(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
  return before;
}

void store_restore_signals(uint64_t before) {
  store_call(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
}

bool store_get_action(int signal, struct store_action* action) {
  return store_call(SYS_rt_sigaction, signal, NULL, action, sizeof(uint64_t)) == 0;
}

bool store_get_handler(int signal, struct store_action* action) {
  return store_get_action(signal, action) && action->handler != SIG_DFL && action->handler != SIG_IGN;
}

bool store_read_text(const char* path, char* text, size_t size) {
  const int fd = (int)store_call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const long got = store_call(SYS_read, fd, text, size - 1);
  store_call(SYS_close, fd);
  text[got > 0 ? got : 0] = 0;
  return got > 0;
}
