/* libsamepage-group.so: stops a program just before main and forks its copies there; see template_protocol.h.
 *
 * It stands in for libc's __libc_start_main: everything is loaded and relocated, the libraries' constructors
 * have run. It allocates nothing, and it edits the environment's strings and pointers itself, because a
 * program's own getenv and unsetenv (bash has them) would stand in for libc's here. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "group/template_protocol.h"

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67 /* Linux 6.4 */
#endif

typedef int main_function(int, char**, char**);
typedef int start_function(main_function*, int, char**, void (*)(void), void (*)(void), void (*)(void),
                           void*);

extern char** environ;

/* The heap's: the next fork makes a copy of the program's start, not a worker of the program. */
extern void samepage_heap_copy_next_fork(void) __attribute__((weak));

/* What the kernel put on the stack: argc, the pointers to the arguments, NULL, those to the environment,
 * NULL, auxv; elsewhere the strings that they point to, one after the other. */
struct start {
  int argc;
  char** argv;
};

struct control {
  int fd;
  bool ksm;
};

static size_t count(char** strings) {
  size_t n = 0;
  while (strings[n]) ++n;
  return n;
}

static char** find(char** strings, const char* name) {
  const size_t length = strlen(name);
  for (; *strings; ++strings)
    if (strncmp(*strings, name, length) == 0 && (*strings)[length] == '=') return strings;
  return NULL;
}

/* Takes a string out of the vector and blanks it, so that /proc/PID/environ does not show it either. */
static void remove_string(char** entry) {
  memset(*entry, 0, strlen(*entry));
  do {
    entry[0] = entry[1];
  } while (*++entry);
}

/* Takes this library, the last entry, out of LD_PRELOAD. */
static void remove_preload(char** environment) {
  char** entry = find(environment, "LD_PRELOAD");
  if (!entry) return;
  char* last = strrchr(*entry, ':');
  if (last)
    memset(last, 0, strlen(last));
  else
    remove_string(entry);
}

/* Whether the launcher speaks to this very process. */
static bool read_control(const char* text, struct control* control) {
  char* end;
  if (strtol(text, &end, 10) != getpid() || *end != ':') return false;
  control->fd = (int)strtol(end + 1, &end, 10);
  if (*end != ':') return false;
  control->ksm = end[1] == '1';
  return true;
}

/* Tells the kernel where arguments and environment are now, for ps and /proc. Needs no privilege, but a
 * kernel with CONFIG_CHECKPOINT_RESTORE; without it ps shows the template's extent of the same memory. */
static void show_strings(const char* arguments, const char* environment, const char* end) {
  char text[1024];
  const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  const ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return;
  text[got] = 0;
  char* at = strrchr(text, ')');
  if (!at) return;
  unsigned long long field[53] = {0}; /* by proc_pid_stat(5)'s numbers */
  at += 4;                            /* to the field after the state */
  for (int i = 4; i <= 52 && *at; ++i) field[i] = strtoull(at, &at, 10);
  struct prctl_mm_map map = {.start_code = field[26],
                             .end_code = field[27],
                             .start_data = field[45],
                             .end_data = field[46],
                             .start_brk = field[47],
                             .brk = (unsigned long long)syscall(SYS_brk, 0),
                             .start_stack = field[28],
                             .arg_start = (uintptr_t)arguments,
                             .arg_end = (uintptr_t)environment,
                             .env_start = (uintptr_t)environment,
                             .env_end = (uintptr_t)end,
                             .exe_fd = (unsigned)-1};
  prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0);
}

/* Puts the copy's strings where the template's were, and the pointers to them, aligned to the right: what
 * follows them, auxv, does not move. */
static bool put_strings(struct start* start, const struct samepage_fork* request, int block) {
  char** const environment = start->argv + start->argc + 1;
  char** const vector_end = environment + count(environment) + 1;
  char* const first = start->argv[0];
  char* const strings_end = vector_end[-2] + strlen(vector_end[-2]) + 1;
  const size_t slots = (size_t)(vector_end - start->argv);
  if (request->size > (size_t)(strings_end - first) || request->argc + request->envc + 2 > slots)
    return false;

  for (size_t done = 0; done < request->size;) {
    const ssize_t got = pread(block, first + done, request->size - done, (off_t)done);
    if (got <= 0) return false;
    done += (size_t)got;
  }
  memset(first + request->size, 0, (size_t)(strings_end - first) - request->size);

  char** slot = vector_end - (request->argc + request->envc + 2);
  start->argc = (int)request->argc;
  start->argv = slot;
  ((long*)slot)[-1] = start->argc;
  char* string = first;
  for (uint32_t i = 0; i < request->argc; ++i, string += strlen(string) + 1) *slot++ = string;
  *slot++ = NULL;
  char* const environment_strings = string;
  environ = slot;
  for (uint32_t i = 0; i < request->envc; ++i, string += strlen(string) + 1) *slot++ = string;
  *slot = NULL;
  show_strings(first, environment_strings, string);
  return true;
}

/* What a fresh copy does before it may go on to main. Any failure ends it: its parent is then not the
 * launcher. */
static void become_copy(struct start* start, const struct samepage_fork* request, const int* fds, int control,
                        pid_t launcher) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != launcher) _exit(127);
  for (int i = 0; i < 3; ++i)
    if (dup2(fds[i], i) < 0) _exit(127);
  if (!put_strings(start, request, fds[3])) _exit(127);
  prctl(PR_SET_NAME, request->name);
  for (int i = 0; i < 4; ++i) close(fds[i]);
  close(control);
}

static pid_t fork_copy(void) {
  if (samepage_heap_copy_next_fork) samepage_heap_copy_next_fork();
  return fork();
}

/* Forks twice, so that the copy becomes a child of the launcher, which adopts orphans. True in the copy. */
static bool make_copy(struct start* start, const struct samepage_fork* request, const int* fds, int control) {
  const pid_t launcher = getppid();
  int orphaned[2]; /* closes when the process between has gone */
  struct samepage_forked answer = {.rank = request->rank};
  if (pipe2(orphaned, O_CLOEXEC) < 0) {
    answer.error = errno;
    send(control, &answer, sizeof answer, MSG_NOSIGNAL);
    return false;
  }
  const pid_t between = fork_copy();
  if (between == 0) {
    const pid_t copy = fork_copy();
    if (copy == 0) {
      char none;
      close(orphaned[1]);
      while (read(orphaned[0], &none, 1) < 0 && errno == EINTR) {
      }
      close(orphaned[0]);
      become_copy(start, request, fds, control, launcher);
      return true;
    }
    answer.pid = copy > 0 ? copy : 0;
    answer.error = copy < 0 ? errno : 0;
    send(control, &answer, sizeof answer, MSG_NOSIGNAL);
    _exit(0);
  }
  if (between < 0) {
    answer.error = errno;
    send(control, &answer, sizeof answer, MSG_NOSIGNAL);
  } else {
    while (waitpid(between, NULL, 0) < 0 && errno == EINTR) {
    }
  }
  close(orphaned[0]);
  close(orphaned[1]);
  return false;
}

static bool receive(int control, struct samepage_fork* request, int* fds) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(4 * sizeof(int))];
  } rights;
  struct iovec part = {request, sizeof *request};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof rights};
  ssize_t got;
  do {
    got = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  const struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (got != sizeof *request || !header || header->cmsg_len != CMSG_LEN(4 * sizeof(int))) return false;
  memcpy(fds, CMSG_DATA(header), 4 * sizeof(int));
  return true;
}

static bool has_interval_timer(void) {
  for (int which = ITIMER_REAL; which <= ITIMER_PROF; ++which) {
    struct itimerval timer;
    if (getitimer(which, &timer) == 0 && (timer.it_value.tv_sec || timer.it_value.tv_usec)) return true;
  }
  return false;
}

/* Serves the launcher until it closes the socket; signals from a terminal or to a process group are the
 * copies' affair. Returns in the copies alone. */
static void serve_as_template(struct start* start, int control) {
  char** const environment = start->argv + start->argc + 1;
  const struct samepage_hello hello = {
      .environment = environ == environment ? (uint32_t)count(environment) : 0,
      .interval_timer = has_interval_timer(),
  };
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  send(control, &hello, sizeof hello, MSG_NOSIGNAL);
  struct samepage_fork request;
  int fds[4];
  while (receive(control, &request, fds)) {
    if (make_copy(start, &request, fds, control)) {
      sigprocmask(SIG_SETMASK, &before, NULL);
      return;
    }
    for (int i = 0; i < 4; ++i) close(fds[i]);
  }
  _exit(0);
}

__attribute__((visibility("default"))) int __libc_start_main(main_function* main, int argc, char** argv,
                                                             void (*init)(void), void (*fini)(void),
                                                             void (*rtld_fini)(void), void* stack_end) {
  struct start start = {argc, argv};
  char** const entry = find(argv + argc + 1, SAMEPAGE_CONTROL);
  struct control control;
  if (entry && read_control(strchr(*entry, '=') + 1, &control)) {
    if (control.fd >= 0) {
      fcntl(control.fd, F_SETFD, FD_CLOEXEC);
      serve_as_template(&start, control.fd);
    } else {
      char** const now = find(environ, SAMEPAGE_CONTROL);
      if (now) remove_string(now);
      remove_preload(environ);
    }
    if (control.ksm) prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
  }
  start_function* const real = (start_function*)dlsym(RTLD_NEXT, "__libc_start_main");
  return real(main, start.argc, start.argv, init, fini, rtld_fini, stack_end);
}
