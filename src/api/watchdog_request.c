/* One line to samepage watchdog, one line back: "burst PID", "ok …" or "no REASON". The kernel tells it who
 * asks (SO_PEERCRED). */
#define _GNU_SOURCE /* secure_getenv */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ksm/watchdog_socket.h"
#include "samepage/samepage.h"

enum { kLine = 256, kPatience = 2000 /* ms */ };

static long long milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Up to the line's end, without it; false if it does not come in time. */
static int read_line(int fd, char* line, size_t size) {
  size_t used = 0;
  for (long long end = milliseconds() + kPatience, left;
       (left = end - milliseconds()) > 0 && used < size - 1;) {
    struct pollfd ready = {fd, POLLIN, 0};
    if (poll(&ready, 1, (int)left) < 0 && errno != EINTR) return 0;
    ssize_t got = recv(fd, line + used, size - 1 - used, 0);
    if (got == 0) return 0;
    if (got < 0 && errno != EAGAIN && errno != EINTR) return 0;
    if (got > 0) used += (size_t)got;
    line[used] = 0;
    char* stop = strchr(line, '\n');
    if (stop) {
      *stop = 0;
      return 1;
    }
  }
  return 0;
}

int samepage_ksm_burst(char* reason, size_t size) {
  if (reason && size) reason[0] = 0;
  const char* path = secure_getenv("SAMEPAGE_WATCHDOG_SOCKET"); /* for tests */
  int fd = samepage_watchdog_connect(path ? path : "/run/samepage/watchdog.sock");
  if (fd < 0) return SAMEPAGE_NO_WATCHDOG;
  char line[kLine];
  int length = snprintf(line, sizeof line, "burst %d\n", (int)getpid());
  int answered = send(fd, line, (size_t)length, MSG_NOSIGNAL) == length && read_line(fd, line, sizeof line);
  close(fd);
  if (answered && strncmp(line, "ok", 2) == 0 && (line[2] == ' ' || !line[2])) return SAMEPAGE_OK;
  if (!answered || strncmp(line, "no ", 3) != 0) return SAMEPAGE_NO_WATCHDOG;
  if (reason && size) snprintf(reason, size, "%s", line + 3);
  return SAMEPAGE_REFUSED;
}
