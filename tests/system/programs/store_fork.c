/* Forks while its cache of freed blocks holds sealed constants: emptying the cache before the fork purges
 * them. Prints "sealed" and the forks that worked. Under the preloaded heap, MALLOC_CONF=dirty_decay_ms:0. */
#include <samepage/samepage.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#pragma weak samepage_store_statistics

enum { BLOCKS = 2000, SIZE = 16 << 10, FORKS = 8, HELD = 8 /* fewer than the cache takes */ };

/* A child that ends at once or, given a pipe, with its parent. */
static pid_t fork_one(const int* pipe) {
  const pid_t child = fork();
  if (child == 0) {
    char byte;
    if (pipe) close(pipe[1]);
    _exit(!pipe || read(pipe[0], &byte, 1) == 0 ? 0 : 1);
  }
  return child;
}

int main(void) {
  static char* blocks[BLOCKS];
  int over[2], status, good = 0;
  samepage_store_stats stats = {.sealed = 0};
  if (!samepage_store_statistics || pipe(over)) return 2;
  for (int i = 0; i < BLOCKS; ++i) blocks[i] = memset(malloc(SIZE), i + 1, SIZE);
  const pid_t lives_on = fork_one(over);
  for (int waits = 0; stats.sealed < (size_t)(BLOCKS / 2) * SIZE && waits < 2000; ++waits) {
    usleep(5000);
    samepage_store_statistics(&stats);
  }
  if (stats.sealed) printf("sealed ");
  fflush(stdout);
  for (int i = 0; i < FORKS; ++i) {
    for (int held = 0; held < HELD; ++held) free(blocks[i * HELD + held]);
    const pid_t child = fork_one(NULL);
    if (waitpid(child, &status, 0) == child && status == 0) ++good;
  }
  close(over[1]);
  waitpid(lives_on, &status, 0);
  printf("%d\n", good);
  return 0;
}
