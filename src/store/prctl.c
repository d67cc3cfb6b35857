#define _GNU_SOURCE
#include "store/prctl.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "store/config.h"
#include "store/share.h"
#include "store/system.h"
#include "store/when.h"

/* What the program has named is known from its own call. */
static _Atomic(unsigned long) named;

bool store_tracer_must_be_named(void) {
  static int scope = -1;
  char text[8];
  if (scope < 0)
    scope = store_read_text("/proc/sys/kernel/yama/ptrace_scope", text, sizeof text) ? atoi(text) : 0;
  return scope == 1;
}

void store_name_tracer(pid_t tracer) {
  store_call(SYS_prctl, PR_SET_PTRACER, tracer, 0, 0, 0);
}

void store_name_programs_tracer(void) {
  store_call(SYS_prctl, PR_SET_PTRACER, atomic_load(&named), 0, 0, 0);
}

void store_prctl_forked(void) {
  atomic_store(&named, 0);
}

__attribute__((visibility("default"))) int prctl(int option, ...) {
  unsigned long values[4];
  va_list list;
  va_start(list, option);
  for (int i = 0; i < 4; ++i) values[i] = va_arg(list, unsigned long);
  va_end(list);
  const bool is_own = getpid() == store_process(), was_awake = atomic_load(&store_awake);
  const store_mode mode = store_config.mode;
  /* A sandbox, which libseccomp begins so, may kill for what is done while a thread waits. */
  const bool ends = is_own && (option == PR_SET_SECCOMP || option == PR_SET_NO_NEW_PRIVS) &&
                    store_share_no_more(SAMEPAGE_STORE_SANDBOX);
  const long result = store_call(SYS_prctl, option, values[0], values[1], values[2], values[3]);
  /* Often it is only asked what the kernel can. */
  if (ends && result < 0) store_share_again(SAMEPAGE_STORE_SANDBOX, mode, was_awake);
  if (result == 0 && option == PR_SET_PTRACER && is_own) atomic_store(&named, values[0]);
  return (int)result;
}
