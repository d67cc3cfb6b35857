// fork_storm FORKS THREADS children|grandchildren: forks in one thread while the others allocate and free one
// another's blocks. Every child allocates, and frees what its parent allocated, one in ten in a thread of its
// own too; with grandchildren its child does the same, and so on. A hang is the caller's to notice.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kSlots = 512, kOwn = 32 };

// Blocks change hands here: whoever takes one out frees it.
static _Atomic(unsigned char*) exchange[kSlots];
static atomic_bool stop;

static void fail(const char* what) {
  perror(what);
  _exit(2);
}

// The first and the last byte tell a block that somebody else wrote to.
static unsigned char* new_block(unsigned* random) {
  size_t size = (size_t)rand_r(random) % 100 == 0 ? 100000 : 2 + (size_t)rand_r(random) % 2000;
  unsigned char* block = malloc(size + sizeof size);
  if (!block) fail("malloc");
  memcpy(block, &size, sizeof size);
  block[sizeof size] = block[sizeof size + size - 1] = (unsigned char)size;
  return block;
}

static void free_block(unsigned char* block) {
  size_t size;
  memcpy(&size, block, sizeof size);
  if (block[sizeof size] != (unsigned char)size || block[sizeof size + size - 1] != (unsigned char)size)
    abort();
  free(block);
}

static void churn(unsigned seed, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    unsigned char* block = atomic_exchange(&exchange[(unsigned)rand_r(&seed) % kSlots], new_block(&seed));
    if (block) free_block(block);
  }
}

static void* churn_until_stop(void* seed) {
  // The pauses leave the forking thread a share of few cores.
  for (unsigned round = 0; !atomic_load(&stop); ++round) {
    churn((unsigned)(size_t)seed + round, 100);
    usleep(500);
  }
  return NULL;
}

static void* churn_once(void* seed) {
  churn((unsigned)(size_t)seed, kOwn);
  return NULL;
}

static _Noreturn void live_as_child(unsigned seed, int generations) {
  for (;; ++seed) {
    churn(seed, kOwn);
    pthread_t thread;
    if (pthread_create(&thread, NULL, churn_once, (void*)(size_t)(seed + 1)) != 0) fail("pthread_create");
    pthread_join(thread, NULL);
    if (--generations == 0) _exit(0);
    pid_t pid = fork();
    if (pid == 0) continue;
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) fail("grandchild");
    _exit(0);
  }
}

int main(int argc, char** argv) {
  if (argc != 4) return 1;
  int forks = atoi(argv[1]), threads = atoi(argv[2]);
  int generations = strcmp(argv[3], "grandchildren") == 0 ? 4 : 1;
  pthread_t thread[64];
  if (threads > 64) return 1;
  for (int i = 0; i < threads; ++i)
    if (pthread_create(&thread[i], NULL, churn_until_stop, (void*)(size_t)(i * 1000003)) != 0)
      fail("pthread_create");
  for (int i = 0; i < forks; ++i) {
    pid_t pid = fork();
    if (pid < 0) fail("fork");
    if (pid == 0) live_as_child((unsigned)i, generations);
    int status;
    if (waitpid(pid, &status, 0) != pid) fail("waitpid");
    if (status != 0) {
      fprintf(stderr, "child %d gave %d\n", i, status);
      return 2;
    }
  }
  atomic_store(&stop, 1);
  for (int i = 0; i < threads; ++i) pthread_join(thread[i], NULL);
  printf("%d forks\n", forks);
}
