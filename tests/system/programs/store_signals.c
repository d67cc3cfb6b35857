/* Signals, children and cancellation while a thread works for the store in a call that waits: after its first
 * fork a parent does for half a minute. Prints a line for what is not as without the store. Under the
 * preloaded heap, SAMEPAGE_STORE_MIN=1M. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 8 << 20, SOON_US = 400000, LATE_S = 4, PASSES = 4 };

static volatile sig_atomic_t handled, reaped;
static pthread_t first;
static int ends[2];
static sem_t semaphore;
static _Atomic(pid_t) other_thread;

static void check(bool good, const char* what) {
  if (!good) printf("%s: %s\n", what, strerror(errno));
}

static void on_signal(int signal) {
  (void)signal;
  handled = pthread_equal(pthread_self(), first) ? 1 : 2;
}

static void on_child(int signal) {
  (void)signal;
  const int saved = errno;
  while (waitpid(-1, NULL, WNOHANG) > 0) ++reaped;
  errno = saved;
}

static void install(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
  sigaction(signal, &action, NULL);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Past libc: a child that waits for itself says that it lives on, and its parent begins to share. */
static void nap(long us) {
  syscall(SYS_nanosleep, &(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* A child that ends soon, after it has sent its parent the signal, if any. */
static pid_t soon(int signal) {
  const pid_t child = fork();
  if (child) return child;
  nap(SOON_US);
  if (signal) kill(getppid(), signal);
  _exit(7);
}

static long in_epoll(void) {
  struct epoll_event event;
  const int fd = epoll_create1(0);
  const long result = epoll_wait(fd, &event, 1, LATE_S * 1000);
  close(fd);
  return result;
}
static long in_sleep(void) {
  return nanosleep(&(struct timespec){.tv_sec = LATE_S}, NULL);
}
static long in_read(void) {
  char byte;
  return read(ends[0], &byte, 1);
}
static long in_semaphore(void) {
  return sem_wait(&semaphore);
}

/* The signal of a process, which a call of its first thread ends with. */
static void interrupted(long (*call)(void), const char* what) {
  const double began = now();
  handled = 0;
  soon(SIGUSR1);
  const long result = call();
  check(result == -1 && errno == EINTR && now() - began < LATE_S && handled == 1, what);
}

static void* wait_for_ever(void* unused) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  pthread_mutex_lock(&mutex);
  other_thread = (pid_t)syscall(SYS_gettid);
  for (;;) pthread_cond_wait(&condition, &mutex);
  return unused;
}

static void* poll_for_ever(void* unused) {
  poll(NULL, 0, -1);
  return unused;
}

static bool is_stopped(const char* path) {
  char text[256];
  FILE* status = fopen(path, "r");
  if (!status) _exit(1);
  while (fgets(text, sizeof text, status) && strncmp(text, "State:", 6) != 0) continue;
  fclose(status);
  return strstr(text, "tracing stop");
}

/* A child that sends its parent a signal whenever that thread is stopped for the store. */
static pid_t send_when_stopped(pid_t thread) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task/%d/status", getpid(), thread);
  const pid_t child = fork();
  if (child) return child;
  for (;;) {
    while (!is_stopped(path)) continue;
    kill(getppid(), SIGUSR1);
    while (is_stopped(path)) continue;
  }
}

/* What is written is given back by a pass when the process is idle, if it has its old bytes. */
static void interrupted_by_signals_of_passes(char* memory) {
  const pid_t sender = send_when_stopped(other_thread);
  for (int pass = 0; pass < PASSES; ++pass) {
    handled = errno = 0;
    memset(memory, 1, SIZE);
    const bool in_time = poll(NULL, 0, LATE_S * 1000) == -1;
    check(handled ? in_time && handled == 1 : pass > 0, handled ? "a signal during a pass" : "no pass");
  }
  kill(sender, SIGKILL);
  waitpid(sender, NULL, 0);
}

int main(void) {
  int status;
  first = pthread_self();
  char* memory = malloc(SIZE);
  memset(memory, 1, SIZE);
  if (pipe(ends) || sem_init(&semaphore, 0, 0)) return 2;
  const pid_t lives_on = fork();
  if (lives_on == 0)
    for (;;) pause();

  install(SIGCHLD, on_signal, 0);
  check(waitpid(soon(0), &status, 0) > 0 && WEXITSTATUS(status) == 7, "waitpid, a handler of SIGCHLD");
  install(SIGCHLD, on_child, SA_RESTART);
  reaped = 0;
  check(waitpid(soon(0), &status, 0) > 0 && WEXITSTATUS(status) == 7 && !reaped,
        "waitpid, a handler of SIGCHLD that reaps");
  pthread_t other;
  pthread_create(&other, NULL, wait_for_ever, NULL);
  check(waitpid(soon(0), &status, 0) > 0 && WEXITSTATUS(status) == 7 && !reaped,
        "waitpid in the first of two threads, a handler of SIGCHLD that reaps");
  install(SIGCHLD, SIG_DFL, 0);

  install(SIGUSR1, on_signal, 0);
  interrupted(in_epoll, "epoll_wait");
  interrupted(in_sleep, "nanosleep");
  interrupted(in_read, "read");
  interrupted(in_semaphore, "sem_wait");
  interrupted_by_signals_of_passes(memory);
  install(SIGUSR1, on_signal, SA_RESTART);
  soon(SIGUSR1);
  if (fork() == 0) {
    nap(2 * SOON_US);
    _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
  }
  check(in_read() == 1, "read, SA_RESTART");

  pthread_create(&other, NULL, poll_for_ever, NULL);
  nap(SOON_US);
  const double began = now();
  pthread_cancel(other);
  pthread_join(other, NULL);
  check(now() - began < LATE_S, "pthread_cancel");
  kill(lives_on, SIGKILL);
  printf("done\n");
  return 0;
}
