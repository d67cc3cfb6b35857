/* The calls that store/idle.h speaks of, of libc's streams, which read without a call that could be replaced:
 * a stream that has nothing left to give waits for its descriptor first. One that has a part of what is asked
 * for does not; scanf leaves a part, as a rule, and passes through. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
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

/* Others have functions of these names, with other parameters even: they are called as they are. */
static bool are_libcs;

__attribute__((constructor)) static void find_all(void) {
  Dl_info libc, found;
  CALLS(STORE_FIND)
  are_libcs = dladdr(dlsym(RTLD_NEXT, "__fpending"), &libc);
#define IS_LIBCS(name) \
  are_libcs = are_libcs && dladdr((void*)libc_##name, &found) && found.dli_fbase == libc.dli_fbase;
  CALLS(IS_LIBCS)
}

enum { READS_UNCANCELLED = 2 }; /* of _flags2: opened with "c" */

/* Before a stream reads that may be a terminal's, or has no buffer, standard output's line is written. */
static bool shows_a_prompt(FILE* stream) {
  return (__flbf(stream) || __fbufsize(stream) <= 1) && stdout && __flbf(stdout) && __fpending(stdout);
}

/* Whether libc will read from the descriptor, and do nothing before that others wait for: write what this
 * stream holds, or a prompt. What was put back with ungetc lies before the rest in a place of its own,
 * _IO_save_base then is that of the rest. */
static bool only_reads(FILE* stream) {
  return !stream->_IO_save_base && !feof_unlocked(stream) && __freadable(stream) && !__fpending(stream) &&
         fwide(stream, 0) <= 0 && !(stream->_flags2 & READS_UNCANCELLED) && !shows_a_prompt(stream);
}

static inline bool is_empty(const FILE* stream) {
  return __builtin_expect(stream->_IO_read_ptr >= stream->_IO_read_end, 0);
}

/* __fsetlocking */
static bool locks(const FILE* stream) {
  return !(stream->_flags & _IO_USER_LOCK);
}

/* False: a signal has interrupted the wait; errno and the stream tell, as after read(2). */
static bool has_waited(FILE* stream) {
  const int saved = errno;
  const bool goes_on =
      !is_empty(stream) || !only_reads(stream) || store_idle_to_read(fileno_unlocked(stream));
  if (goes_on)
    errno = saved;
  else
    stream->_flags |= _IO_ERR_SEEN;
  return goes_on;
}

static void unlock(void* stream) {
  funlockfile(stream);
}

/* A function of libc's that reads from `stream`, and returns `none` at an error. It is called at once if it
 * will not read (`reads`), or there is something to give; else the caller waits first, with the stream's lock
 * as libc does: nobody closes the stream, or reads what comes, meanwhile. */
#define READER(type, name, none, parameters, arguments, reads)                           \
  __attribute__((noinline)) static type name##_idly parameters {                         \
    type volatile result = none;                                                         \
    flockfile(stream);                                                                   \
    pthread_cleanup_push(unlock, stream);                                                \
    if (has_waited(stream)) result = libc_##name arguments;                              \
    pthread_cleanup_pop(1);                                                              \
    return result;                                                                       \
  }                                                                                      \
  static inline type name##_here parameters {                                            \
    STORE_LIBC(name);                                                                    \
    return store_is_awake() && are_libcs && (reads) && is_empty(stream) && locks(stream) \
               ? name##_idly arguments                                                   \
               : next arguments;                                                         \
  }                                                                                      \
  STORE_EXPORT type name parameters {                                                    \
    return name##_here arguments;                                                        \
  }

/* The same, of a stream that the caller has locked, or that is its alone. */
#define UNLOCKED_READER(type, name, none, parameters, arguments, reads)                                   \
  static inline type name##_here parameters {                                                             \
    STORE_LIBC(name);                                                                                     \
    if (store_is_awake() && are_libcs && (reads) && is_empty(stream) && !has_waited(stream)) return none; \
    return next arguments;                                                                                \
  }                                                                                                       \
  STORE_EXPORT type name parameters {                                                                     \
    return name##_here arguments;                                                                         \
  }

READER(int, getc, EOF, (FILE * stream), (stream), true)
STORE_EXPORT int fgetc(FILE* stream) __attribute__((alias("getc")));
STORE_EXPORT int _IO_getc(FILE* stream) __attribute__((alias("getc")));
STORE_EXPORT int getchar(void) {
  return getc_here(stdin);
}

UNLOCKED_READER(int, getc_unlocked, EOF, (FILE * stream), (stream), true)
STORE_EXPORT int fgetc_unlocked(FILE* stream) __attribute__((alias("getc_unlocked")));
STORE_EXPORT int getchar_unlocked(void) {
  return getc_unlocked_here(stdin);
}

/* What getc_unlocked calls where it is compiled into its caller. */
UNLOCKED_READER(int, __uflow, EOF, (FILE * stream), (stream), true)

READER(char*, fgets, NULL, (char* restrict to, int size, FILE* restrict stream), (to, size, stream), size > 1)
UNLOCKED_READER(char*, fgets_unlocked, NULL, (char* restrict to, int size, FILE* restrict stream),
                (to, size, stream), size > 1)
READER(char*, __fgets_chk, NULL, (char* to, size_t room, int size, FILE* stream), (to, room, size, stream),
       size > 1)
UNLOCKED_READER(char*, __fgets_unlocked_chk, NULL, (char* to, size_t room, int size, FILE* stream),
                (to, room, size, stream), size > 1)

READER(size_t, fread, 0, (void* restrict to, size_t size, size_t count, FILE* restrict stream),
       (to, size, count, stream), size&& count)
UNLOCKED_READER(size_t, fread_unlocked, 0,
                (void* restrict to, size_t size, size_t count, FILE* restrict stream),
                (to, size, count, stream), size&& count)
READER(size_t, __fread_chk, 0, (void* to, size_t room, size_t size, size_t count, FILE* stream),
       (to, room, size, count, stream), size&& count)
UNLOCKED_READER(size_t, __fread_unlocked_chk, 0,
                (void* to, size_t room, size_t size, size_t count, FILE* stream),
                (to, room, size, count, stream), size&& count)

READER(ssize_t, getline, -1, (char** restrict to, size_t* restrict room, FILE* restrict stream),
       (to, room, stream), true)
READER(ssize_t, getdelim, -1,
       (char** restrict to, size_t* restrict room, int delimiter, FILE* restrict stream),
       (to, room, delimiter, stream), true)
STORE_EXPORT ssize_t __getdelim(char** restrict to, size_t* restrict room, int delimiter,
                                FILE* restrict stream) __attribute__((alias("getdelim")));
