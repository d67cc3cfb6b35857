/* The helper is a process, because a thread cannot trace its own siblings, and shares this process's memory,
 * so that it costs no copy. It must not touch errno, which is its parent's: its system calls are bare. It has
 * no exit signal, so that a program that waits for its children does not see it. */
#define _GNU_SOURCE
#include "store/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "store/prctl.h"
#include "store/system.h"

enum {
  THREADS_MOST = 4096,
  STACK = 64 << 10,
  PATIENCE_NS =
      8000000, /* with a thread that does not stop: no processor, or a system call that cannot be cut */
  NAP_NS = 20000,
  FIRST_QUEUED = 32, /* real-time signals, whose order counts */
};

enum { NAMING, STOPPING, STOPPED, FAILED, RESUME };

static struct {
  int tid;
  int signal; /* that was about to be delivered; -1: not stopped yet */
} threads[THREADS_MOST];
static unsigned thread_count;
static int caller, stopped_process;
static char task_folder[32];
static _Atomic(int) state;
static pid_t helper;
static char stack[STACK] __attribute__((aligned(16)));

static long bare(long number, long a, long b, long c, long d) {
  long result;
  register long r10 __asm__("r10") = d;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                   : "rcx", "r11", "memory");
  return result;
}

static void set_state(int value) {
  atomic_store(&state, value);
  bare(SYS_futex, (long)&state, FUTEX_WAKE_PRIVATE, 1, 0);
}

/* ---- in the helper ---- */

static int64_t now_ns(void) {
  struct timespec time;
  bare(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&time, 0, 0);
  return time.tv_sec * 1000000000 + time.tv_nsec;
}

static bool is_known(int tid) {
  for (unsigned i = 0; i < thread_count; ++i)
    if (threads[i].tid == tid) return true;
  return false;
}

/* Whether a system call that waits would return, if its thread were stopped, with a part of what it was asked
 * to do, though no signal has come: some bytes are sent. `call`: the number and the arguments, or a word. */
static bool would_do_less(const char* call) {
  char* at;
  const long number = strtol(call, &at, 10);
  unsigned long arguments[4];
  if (at == call) return false; /* "running" */
  for (int i = 0; i < 4; ++i) arguments[i] = strtoul(at, &at, 16);
  switch (number) {
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_pwritev2:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
    case SYS_sendfile:
    case SYS_splice:
    case SYS_tee:
    case SYS_vmsplice:
    case SYS_copy_file_range:
    case SYS_io_getevents:
    case SYS_io_pgetevents:
      return true;
    case SYS_recvmsg:
      return arguments[2] & MSG_WAITALL;
    case SYS_recvfrom:
      return arguments[3] & MSG_WAITALL;
    case SYS_recvmmsg:
      return !(arguments[3] & MSG_WAITFORONE);
    default:
      return false;
  }
}

/* Without printf, which may set errno. */
static void name_call(int tid, char* path) {
  char digits[12];
  int count = 0;
  for (; tid; tid /= 10) digits[count++] = (char)('0' + tid % 10);
  while (count) *path++ = digits[--count];
  memcpy(path, "/syscall", sizeof "/syscall");
}

static bool may_be_cut(int task, int tid) {
  char text[256], path[32];
  name_call(tid, path);
  const int file = (int)bare(SYS_openat, task, (long)path, O_RDONLY | O_CLOEXEC, 0);
  if (file < 0) return false; /* it has ended, or cannot be stopped either */
  const long size = bare(SYS_read, file, (long)text, sizeof text - 1, 0);
  bare(SYS_close, file, 0, 0, 0);
  text[size > 0 ? size : 0] = 0;
  return would_do_less(text);
}

/* A thread that has just ended is none. */
static bool seize(int task, int tid) {
  if (thread_count == THREADS_MOST || may_be_cut(task, tid)) return false;
  const long error = bare(SYS_ptrace, PTRACE_SEIZE, tid, 0, 0);
  if (error == -ESRCH) return true;
  if (error || bare(SYS_ptrace, PTRACE_INTERRUPT, tid, 0, 0)) return false;
  threads[thread_count].tid = tid;
  threads[thread_count++].signal = -1;
  return true;
}

struct directory_entry { /* of getdents64(2) */
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

static bool may_be_stopped(int task, int tid) {
  return !may_be_cut(task, tid);
}

/* What `act` does with every other thread that is not known yet; false if it fails with one. */
static bool for_each_new(int task, bool (*act)(int task, int tid)) {
  char buffer[4096] __attribute__((aligned(8)));
  long got;
  bare(SYS_lseek, task, 0, SEEK_SET, 0);
  while ((got = bare(SYS_getdents64, task, (long)buffer, sizeof buffer, 0)) > 0)
    for (long at = 0; at < got;) {
      const struct directory_entry* entry = (const struct directory_entry*)(buffer + at);
      int tid = 0;
      for (const char* digit = entry->name; *digit >= '0' && *digit <= '9'; ++digit)
        tid = tid * 10 + *digit - '0';
      if (tid && tid != caller && !is_known(tid) && !act(task, tid)) return false;
      at += entry->length;
    }
  return got == 0;
}

static bool wait_for_all(int64_t deadline) {
  for (unsigned i = 0; i < thread_count;) {
    int status;
    if (threads[i].signal >= 0) {
      ++i;
      continue;
    }
    const long got = bare(SYS_wait4, threads[i].tid, (long)&status, __WALL | WNOHANG, 0);
    if (got == threads[i].tid && WIFSTOPPED(status)) {
      threads[i].signal = status >> 16 ? 0 : WSTOPSIG(status);
    } else if (got) { /* it has ended */
      threads[i] = threads[--thread_count];
    } else {
      if (now_ns() > deadline) return false;
      const struct timespec nap = {.tv_nsec = NAP_NS};
      bare(SYS_nanosleep, (long)&nap, 0, 0, 0);
    }
  }
  return true;
}

/* Attaches to every thread that is not known yet; -1 on failure, else how many. */
static int seize_new(int task) {
  const unsigned before = thread_count;
  return for_each_new(task, seize) ? (int)(thread_count - before) : -1;
}

/* Until a look at all threads finds none that is new: only then nobody is left who could make one. Nobody is
 * disturbed if somebody must not be. */
static bool stop_all(void) {
  const int task = (int)bare(SYS_openat, AT_FDCWD, (long)task_folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
  if (task < 0) return false;
  int found = for_each_new(task, may_be_stopped) ? 1 : -1;
  const int64_t deadline = now_ns() + PATIENCE_NS;
  while (found > 0 && (found = seize_new(task)) > 0 && wait_for_all(deadline)) {
  }
  bare(SYS_close, task, 0, 0, 0);
  return found == 0;
}

static int help(void* unused) {
  (void)unused;
  bare(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0);
  if (bare(SYS_getppid, 0, 0, 0, 0) != stopped_process) bare(SYS_exit, 0, 0, 0, 0); /* it has died already */
  while (atomic_load(&state) == NAMING) bare(SYS_futex, (long)&state, FUTEX_WAIT_PRIVATE, NAMING, 0);
  const int found = stop_all() ? STOPPED : FAILED;
  set_state(found);
  while (atomic_load(&state) == found) bare(SYS_futex, (long)&state, FUTEX_WAIT_PRIVATE, found, 0);
  for (unsigned i = 0; i < thread_count; ++i)
    if (threads[i].signal >= 0) bare(SYS_ptrace, PTRACE_DETACH, threads[i].tid, 0, threads[i].signal);
  bare(SYS_exit, 0, 0, 0, 0); /* lets go of those that have not stopped */
  return 0;
}

/* ---- in the caller ---- */

static void reap(void) {
  while (store_call(SYS_wait4, helper, NULL, __WALL, NULL) < 0 && errno == EINTR) {
  }
}

/* False if it was killed: then the kernel has let all threads go. */
static bool helper_says(void) {
  const struct timespec moment = {.tv_nsec = 10000000};
  while (atomic_load(&state) == STOPPING) {
    store_call(SYS_futex, &state, FUTEX_WAIT_PRIVATE, STOPPING, &moment);
    if (atomic_load(&state) == STOPPING && store_call(SYS_wait4, helper, NULL, __WALL | WNOHANG, NULL) != 0)
      return false;
  }
  return true;
}

bool store_stop_others(void) {
  thread_count = 0;
  caller = (int)store_call(SYS_gettid);
  stopped_process = (int)getpid();
  snprintf(task_folder, sizeof task_folder, "/proc/%d/task", (int)getpid());
  const bool is_named = store_tracer_must_be_named();
  atomic_store(&state, is_named ? NAMING : STOPPING);
  helper = clone(help, stack + STACK, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED, NULL);
  if (helper < 0) return false;
  if (is_named) {
    store_name_tracer(helper);
    set_state(STOPPING);
  }
  const bool says = helper_says();
  if (is_named) store_name_programs_tracer();
  if (!says) return false;
  if (atomic_load(&state) == STOPPED) return true;
  store_resume_others();
  return false;
}

static _Atomic(uint64_t) taken; /* signals */

void store_stop_takes(uint64_t signals) {
  atomic_store(&taken, signals);
}

/* Those that the program handles: one that a thread waits for without a handler (sigwait) stays everybody's,
 * and what stops or continues a process has done so already. */
static uint64_t handled(uint64_t signals) {
  for (int signal = 1; signal < FIRST_QUEUED; ++signal) {
    const uint64_t bit = (uint64_t)1 << (signal - 1);
    struct store_action action;
    if ((signals & bit) && (signal == SIGCONT || signal == SIGTSTP || signal == SIGTTIN ||
                            signal == SIGTTOU || !store_get_handler(signal, &action)))
      signals &= ~bit;
  }
  return signals & (((uint64_t)1 << (FIRST_QUEUED - 1)) - 1);
}

/* Each becomes this thread's own, with all that the sender said. */
static void take_signals(void) {
  static siginfo_t infos[FIRST_QUEUED];
  const struct timespec at_once = {0};
  uint64_t signals = 0;
  if (caller != stopped_process || !atomic_load(&taken)) return;
  store_call(SYS_rt_sigpending, &signals, sizeof signals);
  signals = handled(signals & atomic_load(&taken));
  unsigned count = 0;
  while (signals && store_call(SYS_rt_sigtimedwait, &signals, &infos[count], &at_once, sizeof signals) > 0)
    signals &= ~((uint64_t)1 << (infos[count++].si_signo - 1)); /* of two the second stays the process's */
  for (unsigned i = 0; i < count; ++i)
    store_call(SYS_rt_tgsigqueueinfo, stopped_process, caller, infos[i].si_signo, &infos[i]);
}

void store_resume_others(void) {
  take_signals();
  set_state(RESUME);
  reap();
}
