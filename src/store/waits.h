/* What the calls before libc's have in common: they find libc's own, and wait for descriptors. */
#pragma once
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "store/when.h"

#define STORE_EXPORT __attribute__((visibility("default")))
#define store_is_awake() __builtin_expect(atomic_load_explicit(&store_awake, memory_order_relaxed), 0)

/* libc's functions behind this library's. They are looked for when it is loaded: dlsym waits for a thread
 * that is in dlopen, and is not for signal handlers. A file's list of them is expanded with STORE_DECLARE,
 * and with STORE_FIND in a constructor; STORE_LIBC is a function's first line. */
#define STORE_DECLARE(name) static __typeof__(&name) libc_##name;
#define STORE_FIND(name) libc_##name = (__typeof__(&name))dlsym(RTLD_NEXT, #name);
#define STORE_LIBC(name)                                  \
  if (__builtin_expect(!libc_##name, 0)) STORE_FIND(name) \
  const __typeof__(&name) next = libc_##name

/* Works in the time in which reading from this descriptor would wait. False: a signal has interrupted the
 * wait, errno is EINTR. `cancelled`, or NULL: called with `holder` if the thread is cancelled meanwhile. */
bool store_idle_to_read(int fd, void (*cancelled)(void* holder), void* holder);
