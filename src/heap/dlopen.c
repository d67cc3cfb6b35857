/* A library loaded with RTLD_DEEPBIND (PHP's extensions) looks symbols up in itself and its dependencies
 * first, finds glibc's free there, and gives it what our malloc made. So the flag is dropped, as the
 * sanitizers do. The call is a tail call: the loader searches $ORIGIN and RUNPATH of the code at its return
 * address, which must stay the caller's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>

__attribute__((visibility("default"), optimize("O2"))) void* dlopen(const char* file, int mode) {
  static _Atomic(void*) next;
  void* (*real)(const char*, int) = (void* (*)(const char*, int))atomic_load(&next);
  if (!real) {
    real = (void* (*)(const char*, int))dlsym(RTLD_NEXT, "dlopen");
    atomic_store(&next, (void*)real);
  }
  return real(file, mode & ~RTLD_DEEPBIND);
}
