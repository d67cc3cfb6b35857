/* The calls that store/idle.h speaks of, of libc's streams, which read behind the dynamic linker's back: a
 * stream that has nothing left to give waits for its descriptor first. One that has a part of what is asked
 * for does not; scanf leaves a part, as a rule, and passes through. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <wchar.h>

#include "store/waits.h"

#undef getc
#undef getc_unlocked
#undef getchar
#undef getchar_unlocked
#undef fgetc_unlocked
#undef fread_unlocked

/* Of -D_FORTIFY_SOURCE; `room`: bytes at `to`. */
char* __fgets_chk(char* to, size_t room, int size, FILE* stream);
char* __fgets_unlocked_chk(char* to, size_t room, int size, FILE* stream);
size_t __fread_chk(void* to, size_t room, size_t size, size_t count, FILE* stream);
size_t __fread_unlocked_chk(void* to, size_t room, size_t size, size_t count, FILE* stream);

#define CALLS(each)                                                                                  \
  each(getc) each(getc_unlocked) each(__uflow) each(fgets) each(fgets_unlocked) each(fread)          \
      each(fread_unlocked) each(getline) each(getdelim) each(__fgets_chk) each(__fgets_unlocked_chk) \
          each(__fread_chk) each(__fread_unlocked_chk)
CALLS(STORE_DECLARE)

__attribute__((constructor)) static void find_all(void) {
  CALLS(STORE_FIND)
}

/* Whether libc will read from the descriptor, and do nothing before that others wait for: write what this
 * stream holds, or a prompt of standard output's. What was put back with ungetc lies before the rest in a
 * place of its own, _IO_save_base then is that of the rest. */
static bool only_reads(FILE* stream) {
  return !stream->_IO_save_base && !feof_unlocked(stream) && __freadable(stream) && !__fpending(stream) &&
         fwide(stream, 0) <= 0 && !(stdout && __flbf(stdout) && __fpending(stdout));
}

static bool wait_for(FILE* stream) {
  const int saved = errno;
  const bool goes_on = !only_reads(stream) || store_idle_to_read(fileno_unlocked(stream));
  if (goes_on) {
    errno = saved;
  } else { /* as after read(2) */
    flockfile(stream);
    stream->_flags |= _IO_ERR_SEEN;
    funlockfile(stream);
  }
  return goes_on;
}

/* False: a signal has interrupted the wait, errno and the stream tell. */
static inline bool has_waited(FILE* stream) {
  return __builtin_expect(stream->_IO_read_ptr < stream->_IO_read_end, 1) || !store_is_awake() ||
         wait_for(stream);
}

STORE_EXPORT int getc(FILE* stream) {
  STORE_LIBC(getc);
  return has_waited(stream) ? next(stream) : EOF;
}

STORE_EXPORT int fgetc(FILE* stream) __attribute__((alias("getc")));
STORE_EXPORT int _IO_getc(FILE* stream) __attribute__((alias("getc")));

STORE_EXPORT int getchar(void) {
  return getc(stdin);
}

STORE_EXPORT int getc_unlocked(FILE* stream) {
  STORE_LIBC(getc_unlocked);
  return has_waited(stream) ? next(stream) : EOF;
}

STORE_EXPORT int fgetc_unlocked(FILE* stream) __attribute__((alias("getc_unlocked")));

STORE_EXPORT int getchar_unlocked(void) {
  return getc_unlocked(stdin);
}

/* What getc_unlocked calls where it is compiled into its caller. */
STORE_EXPORT int __uflow(FILE* stream) {
  STORE_LIBC(__uflow);
  return has_waited(stream) ? next(stream) : EOF;
}

STORE_EXPORT char* fgets(char* restrict to, int size, FILE* restrict stream) {
  STORE_LIBC(fgets);
  return size <= 1 || has_waited(stream) ? next(to, size, stream) : NULL;
}

STORE_EXPORT char* fgets_unlocked(char* restrict to, int size, FILE* restrict stream) {
  STORE_LIBC(fgets_unlocked);
  return size <= 1 || has_waited(stream) ? next(to, size, stream) : NULL;
}

STORE_EXPORT char* __fgets_chk(char* to, size_t room, int size, FILE* stream) {
  STORE_LIBC(__fgets_chk);
  return size <= 1 || has_waited(stream) ? next(to, room, size, stream) : NULL;
}

STORE_EXPORT char* __fgets_unlocked_chk(char* to, size_t room, int size, FILE* stream) {
  STORE_LIBC(__fgets_unlocked_chk);
  return size <= 1 || has_waited(stream) ? next(to, room, size, stream) : NULL;
}

STORE_EXPORT size_t fread(void* restrict to, size_t size, size_t count, FILE* restrict stream) {
  STORE_LIBC(fread);
  return !size || !count || has_waited(stream) ? next(to, size, count, stream) : 0;
}

STORE_EXPORT size_t fread_unlocked(void* restrict to, size_t size, size_t count, FILE* restrict stream) {
  STORE_LIBC(fread_unlocked);
  return !size || !count || has_waited(stream) ? next(to, size, count, stream) : 0;
}

STORE_EXPORT size_t __fread_chk(void* to, size_t room, size_t size, size_t count, FILE* stream) {
  STORE_LIBC(__fread_chk);
  return !size || !count || has_waited(stream) ? next(to, room, size, count, stream) : 0;
}

STORE_EXPORT size_t __fread_unlocked_chk(void* to, size_t room, size_t size, size_t count, FILE* stream) {
  STORE_LIBC(__fread_unlocked_chk);
  return !size || !count || has_waited(stream) ? next(to, room, size, count, stream) : 0;
}

STORE_EXPORT ssize_t getline(char** restrict to, size_t* restrict room, FILE* restrict stream) {
  STORE_LIBC(getline);
  return has_waited(stream) ? next(to, room, stream) : -1;
}

STORE_EXPORT ssize_t getdelim(char** restrict to, size_t* restrict room, int delimiter,
                              FILE* restrict stream) {
  STORE_LIBC(getdelim);
  return has_waited(stream) ? next(to, room, delimiter, stream) : -1;
}

STORE_EXPORT ssize_t __getdelim(char** restrict to, size_t* restrict room, int delimiter,
                                FILE* restrict stream) __attribute__((alias("getdelim")));
