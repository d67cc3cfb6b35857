/* What `samepage run` and the library that it preloads (libsamepage-group.so) say to each other.
 *
 * The launcher execs a program with SAMEPAGE_CONTROL=PID:FD:KSM:padding as the last string of its environment
 * and LD_PRELOAD, whose last entry is the library, as the last but one. PID names the process that is meant,
 * so that no program which inherits the string by mistake acts on it. KSM is 1 if the process shall opt in to
 * the kernel's Samepage Merging. FD -1: clean the environment and go on to main. Otherwise FD is a
 * SOCK_SEQPACKET socket and the process is a template that never reaches main: it sends samepage_hello, and
 * then for each samepage_fork that it receives it makes one copy of itself, whose parent is the launcher, and
 * answers samepage_forked. It ends when the launcher closes the socket. All is in one machine's byte order,
 * between two files of one build. */
#pragma once
#include <stdint.h>

#define SAMEPAGE_CONTROL "SAMEPAGE_CONTROL"

struct samepage_hello {
  uint32_t environment;    /* strings in environ; 0: it is not the one that the kernel made */
  uint32_t interval_timer; /* 1: setitimer(2) or alarm(2) is pending, which a fork would lose */
};

/* Comes with four descriptors: the copy's standard streams, and a memory file of `size` bytes with its `argc`
 * arguments and then its environment, each string ended by a NUL. They fit into what the template was started
 * with. */
struct samepage_fork {
  uint32_t rank;
  uint32_t argc;
  uint32_t envc;
  uint32_t size;
  char name[16]; /* of the process, as in /proc/PID/comm */
};

struct samepage_forked {
  uint32_t rank;
  int32_t pid;   /* of the copy; 0 if there is none, then: */
  int32_t error; /* errno of the fork */
};
