/* The calls that store/idle.h speaks of. Each is the same: what it waits for, then libc's own, unless
 * that has come. */
#define _GNU_SOURCE
#include "store/waits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/single_threaded.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <termios.h>

#include "store/idle.h"
#include "store/system.h"

#define CALLS(each)                                                                                       \
  each(read) each(recv) each(recvfrom) each(recvmsg) each(accept) each(accept4) each(poll) each(ppoll)    \
      each(epoll_wait) each(epoll_pwait) each(select) each(wait) each(waitpid) each(wait4) each(sem_wait) \
          each(sem_timedwait) each(sem_clockwait) each(flock) each(nanosleep) each(clock_nanosleep)
CALLS(STORE_DECLARE)

__attribute__((constructor)) static void find_all(void) {
  CALLS(STORE_FIND)
}

/* ---- descriptors ---- */

struct reading {
  int fd;
  void (*cancelled)(void* holder); /* or NULL */
  void* holder;
};

static store_state fd_is_ready(const void* wait, int milliseconds, const uint64_t* during) {
  const struct reading* it = wait;
  if (milliseconds == STORE_CANCELLED) {
    it->cancelled(it->holder);
    return STORE_COME;
  }
  struct pollfd one = {.fd = it->fd, .events = POLLIN};
  const struct timespec time = {.tv_nsec = milliseconds * 1000000L};
  const long result = store_call(SYS_ppoll, &one, 1, &time, during, sizeof *during);
  return result < 0 && errno == EINTR ? STORE_INTERRUPTED : result ? STORE_COME : STORE_NOT_YET;
}

/* Whether reading from it waits no longer than was set for the socket or the terminal; or not at all, in the
 * background of a terminal. */
static bool has_time_limit(int fd) {
  struct timeval limit = {0, 0};
  socklen_t length = sizeof limit;
  if (store_call(SYS_getsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, &length) == 0)
    return limit.tv_sec || limit.tv_usec;
  struct termios terminal;
  if (tcgetattr(fd, &terminal)) return false;
  return (!(terminal.c_lflag & ICANON) && !terminal.c_cc[VMIN]) ||
         (tcgetsid(fd) == getsid(0) && tcgetpgrp(fd) != getpgrp());
}

static int number_of_socket(int fd, int option) {
  int number = -1;
  socklen_t length = sizeof number;
  store_call(SYS_getsockopt, fd, SOL_SOCKET, option, &number, &length);
  return number;
}

typedef enum { RECEIVES, ACCEPTS } socket_wait;

/* Where poll tells when reading does not wait; not of perf_event's, which are read at once, nor of the
 * kernel's ciphers, nor of a named pipe that nobody has opened for writing yet. */
static bool poll_tells(int fd, mode_t mode, socket_wait what) {
  struct statfs system;
  if (S_ISSOCK(mode))
    return number_of_socket(fd, SO_DOMAIN) != AF_ALG &&
           number_of_socket(fd, SO_ACCEPTCONN) == (what == ACCEPTS);
  return S_ISCHR(mode) || (S_ISFIFO(mode) && fstatfs(fd, &system) == 0 && system.f_type == PIPEFS_MAGIC);
}

/* Who reads a file does not wait. */
static bool may_wait(int fd, mode_t* mode) {
  struct stat status;
  const long flags = store_call(SYS_fcntl, fd, F_GETFL);
  if (flags < 0 || (flags & O_NONBLOCK) || (flags & O_ACCMODE) == O_WRONLY || fstat(fd, &status))
    return false;
  *mode = status.st_mode;
  return !S_ISREG(status.st_mode);
}

static bool idle_in(struct reading it, socket_wait what) {
  if (store_is_watched()) return true;
  const int saved = errno;
  mode_t mode;
  const bool leaves = !may_wait(it.fd, &mode) || store_due(true) == STORE_NOTHING ||
                      !poll_tells(it.fd, mode, what) || has_time_limit(it.fd);
  errno = saved;
  return leaves || store_idle(fd_is_ready, &it, STORE_RESTARTS | (it.cancelled ? STORE_HOLDS : 0));
}

static bool idle_on(int fd, socket_wait what) {
  return idle_in((struct reading){fd, NULL, NULL}, what);
}

bool store_idle_to_read(int fd, void (*cancelled)(void* holder), void* holder) {
  return idle_in((struct reading){fd, cancelled, holder}, RECEIVES);
}

/* Flags with which a call does not wait, or not for what poll tells. */
enum { AT_ONCE = MSG_DONTWAIT | MSG_ERRQUEUE | MSG_OOB };

STORE_EXPORT ssize_t read(int fd, void* buffer, size_t size) {
  STORE_LIBC(read);
  if (store_is_awake() && size && !idle_on(fd, RECEIVES)) return -1;
  return next(fd, buffer, size);
}

STORE_EXPORT ssize_t recv(int fd, void* buffer, size_t size, int flags) {
  STORE_LIBC(recv);
  if (store_is_awake() && !(flags & AT_ONCE) && !idle_on(fd, RECEIVES)) return -1;
  return next(fd, buffer, size, flags);
}

STORE_EXPORT ssize_t recvfrom(int fd, void* restrict buffer, size_t size, int flags,
                              struct sockaddr* restrict address, socklen_t* restrict length) {
  STORE_LIBC(recvfrom);
  if (store_is_awake() && !(flags & AT_ONCE) && !idle_on(fd, RECEIVES)) return -1;
  return next(fd, buffer, size, flags, address, length);
}

STORE_EXPORT ssize_t recvmsg(int fd, struct msghdr* message, int flags) {
  STORE_LIBC(recvmsg);
  if (store_is_awake() && !(flags & AT_ONCE) && !idle_on(fd, RECEIVES)) return -1;
  return next(fd, message, flags);
}

STORE_EXPORT int accept(int fd, struct sockaddr* restrict address, socklen_t* restrict length) {
  STORE_LIBC(accept);
  if (store_is_awake() && !idle_on(fd, ACCEPTS)) return -1;
  return next(fd, address, length);
}

STORE_EXPORT int accept4(int fd, struct sockaddr* restrict address, socklen_t* restrict length, int flags) {
  STORE_LIBC(accept4);
  if (store_is_awake() && !idle_on(fd, ACCEPTS)) return -1;
  return next(fd, address, length, flags);
}

/* ---- with a time limit, from which the time that has passed is taken ---- */

/* Rounded up: a wait may last longer, not shorter. */
static int left_of(int timeout, int64_t began_ns) {
  if (timeout <= 0) return timeout;
  const int64_t left = timeout * INT64_C(1000000) - (store_now_ns() - began_ns);
  return left > 0 ? (int)((left + 999999) / 1000000) : 0;
}

static struct timespec time_of(int64_t ns) {
  return (struct timespec){ns / 1000000000, ns % 1000000000};
}

static bool is_a_time(const struct timespec* time) {
  return time && time->tv_sec >= 0 && time->tv_nsec >= 0 && time->tv_nsec < 1000000000 &&
         (time->tv_sec || time->tv_nsec);
}

static int64_t length_of(const struct timespec* time) {
  return time->tv_sec > 1000000000 ? (int64_t)1000000000 * 1000000000
                                   : time->tv_sec * 1000000000 + time->tv_nsec;
}

/* A part of the wait, and no longer than the whole; `until`: store_now_ns(); or -1. */
static struct timespec slice_of(int milliseconds, int64_t until) {
  const int64_t slice = milliseconds * INT64_C(1000000), left = until < 0 ? slice : until - store_now_ns();
  return time_of(left < 0 ? 0 : left < slice ? left : slice);
}

/* For libc's own call, which a thread can be cancelled in. */
static sigset_t set_of(uint64_t signals) {
  sigset_t set;
  memset(&set, 0, sizeof set);
  memcpy(&set, &signals, sizeof signals);
  return set;
}

/* One of the calls below; what it is given follows. */
struct wait {
  /* As the call, for so long at most. `during`: the signals that are blocked for that time; NULL: as they
   * are. `by_libc`: in a call that can be cancelled, which needs them. */
  long (*once)(const struct wait* it, struct timespec time, const uint64_t* during, bool by_libc);
  int64_t length; /* ns; or -1 */
  int64_t until;  /* store_now_ns(); or -1 */
  int* found;     /* what the call returns, or minus EINTR; 0: nothing yet, or an error for libc's own call to
                     tell */
};

static bool look(const struct wait* it, struct timespec time, const uint64_t* during, bool by_libc) {
  const long result = it->once(it, time, during, by_libc);
  *it->found = result >= 0 ? (int)result : errno == EINTR ? -EINTR : 0;
  return result != 0;
}

/* Once something is found it is kept: to look again would take more from an epoll, or find less. */
static store_state has_come(const void* wait, int milliseconds, const uint64_t* during) {
  const struct wait* it = wait;
  const bool come = *it->found || look(it, slice_of(milliseconds, it->until), during, false) ||
                    (it->until >= 0 && store_now_ns() >= it->until);
  return *it->found == -EINTR ? STORE_INTERRUPTED : come ? STORE_COME : STORE_NOT_YET;
}

/* How long the thread waits in the kernel alone, before it begins to watch: while nothing is to be done, so
 * that many that wait for the same connections cost nothing. ns; 0: not at all. */
static int64_t first_part(int64_t length) {
  const int64_t least = STORE_NOT_YET_IDLE_MS * INT64_C(1000000);
  const int64_t first = length < 0 || length > least ? store_due_later() * INT64_C(1000000) : 0;
  return length < 0 || first < length ? first : length;
}

/* Works and waits. False: nothing was found, and libc's own call is to wait for what is left of the time;
 * else *found is what the call returns, with errno. */
static bool wait_idly(const struct wait* it) {
  const int64_t first = first_part(it->length);
  bool goes_on = true;
  if (!first) {
    goes_on = store_idle(has_come, it, 0);
  } else {
    pthread_testcancel(); /* a thread that is cancelled below has its signals blocked */
    const uint64_t blocked = store_block_signals();
    look(it, time_of(first), &blocked, true);
    if (*it->found)
      store_restore_signals(blocked);
    else
      goes_on = store_idle_blocked(has_come, it, 0, blocked);
  }
  if (!goes_on && *it->found <= 0) *it->found = -EINTR;
  if (*it->found >= 0) return *it->found > 0;
  errno = -*it->found;
  *it->found = -1;
  return true;
}

static struct wait wait_of(long (*once)(const struct wait*, struct timespec, const uint64_t*, bool),
                           int64_t length, int64_t began_ns, int* found) {
  return (struct wait){once, length, length < 0 ? -1 : began_ns + length, found};
}

static int64_t ns_of(int timeout) {
  return timeout < 0 ? -1 : timeout * INT64_C(1000000);
}

struct polled {
  struct wait wait; /* the first member, of each of these */
  struct pollfd* fds;
  nfds_t count;
};

static long poll_once(const struct wait* wait, struct timespec time, const uint64_t* during, bool by_libc) {
  const struct polled* it = (const struct polled*)wait;
  if (!by_libc) return store_call(SYS_ppoll, it->fds, it->count, &time, during, sizeof(uint64_t));
  const sigset_t signals = set_of(*during);
  return libc_ppoll(it->fds, it->count, &time, &signals);
}

STORE_EXPORT int poll(struct pollfd* fds, nfds_t count, int timeout) {
  STORE_LIBC(poll);
  if (!store_is_awake() || !timeout) return next(fds, count, timeout);
  const int64_t began = store_now_ns();
  int found = 0;
  const struct polled polled = {wait_of(poll_once, ns_of(timeout), began, &found), fds, count};
  return wait_idly(&polled.wait) ? found : next(fds, count, left_of(timeout, began));
}

/* With other signals while it waits it is libc's alone. */
STORE_EXPORT int ppoll(struct pollfd* fds, nfds_t count, const struct timespec* timeout,
                       const sigset_t* signals) {
  STORE_LIBC(ppoll);
  if (!store_is_awake() || signals || (timeout && !is_a_time(timeout)))
    return next(fds, count, timeout, signals);
  const int64_t began = store_now_ns(), length = timeout ? length_of(timeout) : -1;
  int found = 0;
  const struct polled polled = {wait_of(poll_once, length, began, &found), fds, count};
  if (wait_idly(&polled.wait)) return found;
  const int64_t left = length - (store_now_ns() - began);
  const struct timespec rest = time_of(left > 0 ? left : 0);
  return next(fds, count, timeout ? &rest : NULL, NULL);
}

struct epolled {
  struct wait wait;
  int fd;
  struct epoll_event* events;
  int most;
};

/* epoll_pwait knows whole milliseconds only, which would be late at the end of the time. */
static long epoll_once(const struct wait* wait, struct timespec time, const uint64_t* during, bool by_libc) {
  const struct epolled* it = (const struct epolled*)wait;
  if (by_libc) {
    const sigset_t signals = set_of(*during);
    return libc_epoll_pwait(it->fd, it->events, it->most,
                            (int)(time.tv_sec * 1000 + (time.tv_nsec + 999999) / 1000000), &signals);
  }
  struct pollfd one = {.fd = it->fd, .events = POLLIN};
  const long result = store_call(SYS_ppoll, &one, 1, &time, during, sizeof(uint64_t));
  return result > 0 ? store_call(SYS_epoll_pwait, it->fd, it->events, it->most, 0, NULL, 0) : result;
}

/* False: libc's own call is to wait for what is left of the time. */
static bool epoll_idly(int fd, struct epoll_event* events, int most, int* timeout, int* found) {
  const int64_t began = store_now_ns();
  const struct epolled epolled = {wait_of(epoll_once, ns_of(*timeout), began, found), fd, events, most};
  if (wait_idly(&epolled.wait)) return true;
  *timeout = left_of(*timeout, began);
  return false;
}

STORE_EXPORT int epoll_wait(int fd, struct epoll_event* events, int most, int timeout) {
  STORE_LIBC(epoll_wait);
  int found = 0;
  return store_is_awake() && timeout && most > 0 && epoll_idly(fd, events, most, &timeout, &found)
             ? found
             : next(fd, events, most, timeout);
}

/* libuv waits so. */
STORE_EXPORT int epoll_pwait(int fd, struct epoll_event* events, int most, int timeout,
                             const sigset_t* signals) {
  STORE_LIBC(epoll_pwait);
  int found = 0;
  return store_is_awake() && timeout && most > 0 && !signals && epoll_idly(fd, events, most, &timeout, &found)
             ? found
             : next(fd, events, most, timeout, signals);
}

struct selected {
  struct wait wait;
  int count;
  fd_set* sets[3];
};

/* The sets are results only if anything is found. */
static long select_once(const struct wait* wait, struct timespec time, const uint64_t* during, bool by_libc) {
  const struct selected* it = (const struct selected*)wait;
  fd_set copies[3], *given[3];
  const size_t size = ((size_t)it->count + 63) / 64 * 8;
  for (int i = 0; i < 3; ++i) {
    given[i] = it->sets[i] ? &copies[i] : NULL;
    if (given[i]) memcpy(given[i], it->sets[i], size);
  }
  const sigset_t signals = set_of(during ? *during : 0);
  const struct {
    const uint64_t* set;
    size_t size;
  } kernels = {during, sizeof *during};
  const long result =
      by_libc ? pselect(it->count, given[0], given[1], given[2], &time, &signals)
              : store_call(SYS_pselect6, it->count, given[0], given[1], given[2], &time, &kernels);
  for (int i = 0; i < 3 && result > 0; ++i)
    if (given[i]) memcpy(it->sets[i], given[i], size);
  return result;
}

STORE_EXPORT int select(int count, fd_set* restrict in, fd_set* restrict out, fd_set* restrict other,
                        struct timeval* restrict timeout) {
  STORE_LIBC(select);
  if (!store_is_awake() || count < 0 || count > FD_SETSIZE ||
      (timeout && !timeout->tv_sec && !timeout->tv_usec) ||
      (timeout && (timeout->tv_sec < 0 || timeout->tv_sec > 1000000000 || timeout->tv_usec < 0)))
    return next(count, in, out, other, timeout);
  const int64_t began = store_now_ns();
  const int64_t length = timeout ? timeout->tv_sec * 1000000000 + timeout->tv_usec * 1000 : -1;
  int found = 0;
  const struct selected selected = {wait_of(select_once, length, began, &found), count, {in, out, other}};
  const bool is_over = wait_idly(&selected.wait);
  if (timeout) { /* Linux leaves the time that is left in it, as it does here */
    int64_t left = length - (store_now_ns() - began);
    if (left < 0) left = 0;
    timeout->tv_sec = left / 1000000000;
    timeout->tv_usec = left % 1000000000 / 1000;
  }
  return is_over ? found : next(count, in, out, other, timeout);
}

/* ---- children ---- */

struct children {
  pid_t pid; /* as waitpid's */
  int options;
  int* status;
  struct rusage* usage;
  pid_t* found; /* what the call returns; 0: nothing yet, or an error for libc's own call to tell */
};

enum { CHILD_NAP_MS = 2 }; /* one that the caller traces may stop as well */

/* Until that child ends; or, where it may be one of several, for a millisecond. Returns the time; -1 after a
 * signal. Another thread might close the descriptor, and have another file there. */
static int nap_for(const struct children* it, int milliseconds, const uint64_t* during) {
  const bool one = it->pid > 0 && !it->options && __libc_single_threaded;
  struct pollfd end = {.fd = one ? (int)store_call(SYS_pidfd_open, it->pid, 0) : -1, .events = POLLIN};
  const int most = end.fd < 0 ? 1 : CHILD_NAP_MS;
  if (milliseconds > most) milliseconds = most;
  const struct timespec time = {.tv_nsec = milliseconds * 1000000L};
  const bool interrupted =
      store_call(SYS_ppoll, &end, 1, &time, during, sizeof *during) < 0 && errno == EINTR;
  if (end.fd >= 0) store_call(SYS_close, end.fd);
  return interrupted ? -1 : milliseconds;
}

/* Takes it before a handler of SIGCHLD can, as the kernel does. */
static store_state a_child_has_ended(const void* wait, int milliseconds, const uint64_t* during) {
  const struct children* it = wait;
  for (int nap = 0; !*it->found; milliseconds -= nap) {
    const long result = store_call(SYS_wait4, it->pid, it->status, it->options | WNOHANG, it->usage);
    if (result < 0) return STORE_COME;
    *it->found = (pid_t)result;
    if (result || milliseconds <= 0 || nap < 0)
      return result ? STORE_COME : nap < 0 ? STORE_INTERRUPTED : STORE_NOT_YET;
    nap = nap_for(it, milliseconds, during);
  }
  return STORE_COME;
}

/* False: libc's own call is to wait; else *result is what the call returns, with errno. */
static bool reap_idly(pid_t pid, int* status, int options, struct rusage* usage, pid_t* result) {
  if (!store_is_awake() || (options & WNOHANG)) return false;
  pid_t found = 0;
  const struct children children = {pid, options, status, usage, &found};
  struct store_action action; /* a handler in another thread might take the child */
  const bool has_handler = store_get_handler(SIGCHLD, &action);
  const bool goes_on =
      store_idle(a_child_has_ended, &children, STORE_RESTARTS | (has_handler ? STORE_CLOSED : 0));
  *result = found ? found : -1;
  return found || !goes_on;
}

STORE_EXPORT pid_t wait(int* status) {
  STORE_LIBC(wait);
  pid_t result;
  return reap_idly(-1, status, 0, NULL, &result) ? result : next(status);
}

STORE_EXPORT pid_t waitpid(pid_t pid, int* status, int options) {
  STORE_LIBC(waitpid);
  pid_t result;
  return reap_idly(pid, status, options, NULL, &result) ? result : next(pid, status, options);
}

STORE_EXPORT pid_t wait4(pid_t pid, int* status, int options, struct rusage* usage) {
  STORE_LIBC(wait4);
  pid_t result;
  return reap_idly(pid, status, options, usage, &result) ? result : next(pid, status, options, usage);
}

/* ---- semaphores ---- */

static int wait_for_semaphore(sem_t* semaphore, clockid_t clock, const struct timespec* until) {
  STORE_LIBC(sem_clockwait);
  return next(semaphore, clock, until);
}

struct semaphore {
  sem_t* itself;
  bool* taken;
  clockid_t clock;
  const struct timespec* until; /* by that clock; NULL: for ever */
};

static int64_t left_until(clockid_t clock, const struct timespec* until) {
  struct timespec now;
  clock_gettime(clock, &now);
  const int64_t seconds = until->tv_sec - now.tv_sec;
  return seconds > 1000000000 ? INT64_MAX : seconds * 1000000000 + until->tv_nsec - now.tv_nsec;
}

/* Takes it, if it can be had in that time. Not to be cancelled here: libc's own call will be, and tells when
 * the time is over. */
static store_state is_taken_or_over(const void* wait, int milliseconds, const uint64_t* during) {
  (void)during; /* STORE_CLOSED */
  const struct semaphore* it = wait;
  if (*it->taken) return STORE_COME;
  const int64_t slice = milliseconds * INT64_C(1000000),
                left = it->until ? left_until(it->clock, it->until) : INT64_MAX;
  const int64_t length = left < slice ? left : slice;
  const struct timespec end = time_of(store_now_ns() + length);
  int before;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  *it->taken =
      (length > 0 ? wait_for_semaphore(it->itself, CLOCK_MONOTONIC, &end) : sem_trywait(it->itself)) == 0;
  pthread_setcancelstate(before, NULL);
  return *it->taken || left <= slice ? STORE_COME : STORE_NOT_YET;
}

/* False: libc's own call is to wait on; else *result is what the call returns, with errno. */
static bool take_idly(sem_t* semaphore, clockid_t clock, const struct timespec* until, int* result) {
  if (!store_is_awake() || (until && (until->tv_nsec < 0 || until->tv_nsec >= 1000000000))) return false;
  bool taken = false;
  const bool goes_on = store_idle(is_taken_or_over, &(struct semaphore){semaphore, &taken, clock, until},
                                  STORE_CLOSED | (until ? 0 : STORE_RESTARTS));
  *result = taken ? 0 : -1;
  return taken || !goes_on;
}

STORE_EXPORT int sem_wait(sem_t* semaphore) {
  STORE_LIBC(sem_wait);
  int result;
  return take_idly(semaphore, CLOCK_MONOTONIC, NULL, &result) ? result : next(semaphore);
}

STORE_EXPORT int sem_timedwait(sem_t* restrict semaphore, const struct timespec* restrict until) {
  STORE_LIBC(sem_timedwait);
  int result;
  return take_idly(semaphore, CLOCK_REALTIME, until, &result) ? result : next(semaphore, until);
}

/* Another clock is libc's to refuse. */
STORE_EXPORT int sem_clockwait(sem_t* restrict semaphore, clockid_t clock,
                               const struct timespec* restrict until) {
  STORE_LIBC(sem_clockwait);
  int result;
  return (clock == CLOCK_MONOTONIC || clock == CLOCK_REALTIME) && take_idly(semaphore, clock, until, &result)
             ? result
             : next(semaphore, clock, until);
}

/* ---- locks of files: preforking servers take turns at accept with them ---- */

struct file_lock {
  int fd, operation;
  int64_t since; /* store_now_ns() */
  bool* taken;
};

enum { LOCK_NAP_NS = 50000, LOCK_NAP_MOST_NS = 2000000, LOCK_NAP_SHARE = 8 };
/* Then it waits in the kernel's queue, where its turn comes. */
static const int64_t LOCK_WATCHED_NS = INT64_C(3000000000);

/* The kernel does not tell when it may be had: it is asked at first often, and then after a part of the time
 * that was waited. */
static store_state is_locked(const void* wait, int milliseconds, const uint64_t* during) {
  const struct file_lock* it = wait;
  const int64_t until = store_now_ns() + milliseconds * INT64_C(1000000);
  while (!*it->taken) {
    *it->taken = store_call(SYS_flock, it->fd, it->operation | LOCK_NB) == 0;
    const int64_t now = store_now_ns(), waited = now - it->since;
    if (!*it->taken && (errno != EWOULDBLOCK || waited >= LOCK_WATCHED_NS)) return STORE_COME;
    if (*it->taken || now >= until) break;
    const int64_t share = waited / LOCK_NAP_SHARE;
    const struct timespec nap = time_of(share < LOCK_NAP_NS        ? LOCK_NAP_NS
                                        : share < LOCK_NAP_MOST_NS ? share
                                                                   : LOCK_NAP_MOST_NS);
    if (store_call(SYS_ppoll, NULL, 0, &nap, during, sizeof *during) < 0) return STORE_INTERRUPTED;
  }
  return *it->taken ? STORE_COME : STORE_NOT_YET;
}

STORE_EXPORT int flock(int fd, int operation) {
  STORE_LIBC(flock);
  if (!store_is_awake() || (operation & (LOCK_NB | LOCK_UN))) return next(fd, operation);
  bool taken = false;
  const struct file_lock lock = {fd, operation, store_now_ns(), &taken};
  const bool goes_on = store_idle(is_locked, &lock, STORE_RESTARTS | STORE_NOT_CANCELLED);
  return taken ? 0 : goes_on ? next(fd, operation) : -1;
}

/* ---- sleeping ---- */

static int64_t now_ms(void) {
  return store_now_ns() / 1000000;
}

static store_state is_over(const void* wait, int milliseconds, const uint64_t* during) {
  const int64_t until = *(const int64_t*)wait, left = until - now_ms();
  if (left <= 0) return STORE_COME;
  const struct timespec time = {.tv_nsec = (left < milliseconds ? left : milliseconds) * 1000000L};
  if (milliseconds && store_call(SYS_ppoll, NULL, 0, &time, during, sizeof *during) < 0)
    return STORE_INTERRUPTED;
  return now_ms() >= until ? STORE_COME : STORE_NOT_YET;
}

/* Works in a sleep of this length and takes from it the time that has passed. */
static bool idle_for(struct timespec* length, struct timespec* left) {
  const int64_t began = store_now_ns();
  const int64_t whole = length_of(length);
  const int64_t until = (began + whole) / 1000000;
  const bool slept = store_idle(is_over, &until, 0);
  int64_t rest = whole - (store_now_ns() - began);
  if (rest < 0) rest = 0;
  length->tv_sec = rest / 1000000000;
  length->tv_nsec = rest % 1000000000;
  if (!slept && left) *left = *length;
  return slept;
}

static int sleep_for(const struct timespec* length, struct timespec* left) {
  STORE_LIBC(nanosleep);
  if (!store_is_awake() || !is_a_time(length)) return next(length, left);
  struct timespec rest = *length;
  if (!idle_for(&rest, left)) return -1;
  return next(&rest, left);
}

STORE_EXPORT int nanosleep(const struct timespec* length, struct timespec* left) {
  return sleep_for(length, left);
}

STORE_EXPORT int clock_nanosleep(clockid_t clock, int flags, const struct timespec* length,
                                 struct timespec* left) {
  STORE_LIBC(clock_nanosleep);
  if (!store_is_awake() || !is_a_time(length) || (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME))
    return next(clock, flags, length, left);
  struct timespec rest = *length;
  if (flags & TIMER_ABSTIME) { /* to a moment: only the length of what is left is of interest */
    struct timespec now;
    clock_gettime(clock, &now);
    rest.tv_sec -= now.tv_sec;
    rest.tv_nsec -= now.tv_nsec;
    if (rest.tv_nsec < 0) rest.tv_nsec += 1000000000, --rest.tv_sec;
    if (rest.tv_sec < 0) return next(clock, flags, length, left);
  }
  if (!idle_for(&rest, flags & TIMER_ABSTIME ? NULL : left)) return EINTR;
  return next(clock, flags, flags & TIMER_ABSTIME ? length : &rest, left);
}

STORE_EXPORT int usleep(useconds_t microseconds) {
  const struct timespec length = {microseconds / 1000000, (long)(microseconds % 1000000) * 1000};
  return sleep_for(&length, NULL);
}

/* As glibc's: whole seconds that are left after a signal; errno is kept. */
STORE_EXPORT unsigned sleep(unsigned seconds) {
  const int saved = errno;
  struct timespec left = {.tv_sec = seconds};
  if (sleep_for(&left, &left)) return (unsigned)left.tv_sec;
  errno = saved;
  return 0;
}
