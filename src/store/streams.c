/* The calls that store/idle.h speaks of, of libc's streams, which read without a call that could be replaced:
 * a stream that has nothing left to give waits for its descriptor first. One that has a part of what is asked
 * for does not; scanf leaves a part, as a rule, and passes through. */
#define _GNU_SOURCE
#include <features.h>
#undef __USE_EXTERN_INLINES /* which would be definitions of some of these */

#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/single_threaded.h>
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

int _IO_getc(FILE* stream);

#define CALLS(each)                                                                                          \
  each(getc) each(fgetc) each(_IO_getc) each(getchar) each(getc_unlocked) each(fgetc_unlocked)               \
      each(getchar_unlocked) each(__uflow) each(fgets) each(fgets_unlocked) each(fread) each(fread_unlocked) \
          each(getline) each(getdelim) each(__getdelim) each(__fgets_chk) each(__fgets_unlocked_chk)         \
              each(__fread_chk) each(__fread_unlocked_chk)
CALLS(STORE_DECLARE)

/* Others have functions of these names, whose parameters may be no streams: then they are called, and all of
 * these left alone. */
static bool are_libcs;

__attribute__((constructor)) static void find_all(void) {
  Dl_info libc, found;
  CALLS(STORE_FIND)
  are_libcs = dladdr(dlsym(RTLD_NEXT, "__fpending"), &libc);
#define IS_LIBCS(name) \
  if (libc_##name)     \
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

/* False: a signal has interrupted the wait; errno and the stream tell, as after read(2). */
static bool waits(FILE* stream, void (*cancelled)(void* stream)) {
  const int saved = errno;
  const bool goes_on = !is_empty(stream) || !only_reads(stream) ||
                       store_idle_to_read(fileno_unlocked(stream), cancelled, stream);
  if (goes_on)
    errno = saved;
  else
    stream->_flags |= _IO_ERR_SEEN;
  return goes_on;
}

static void unlock(void* stream) {
  funlockfile(stream);
}

typedef enum { UNLOCKED, LOCKED } stream_lock;

/* As libc does: with the stream's lock, so that nobody reads what comes, or closes the stream, meanwhile. Not
 * over libc's own call, whose end by an exception or a jump would leave it locked. */
__attribute__((noinline)) static bool has_waited(FILE* stream, stream_lock lock) {
  if (lock == UNLOCKED || __libc_single_threaded || (stream->_flags & _IO_USER_LOCK))
    return waits(stream, NULL);
  flockfile(stream);
  const bool goes_on = waits(stream, unlock);
  funlockfile(stream);
  return goes_on;
}

/* A function of libc's that reads from `stream`, if `reads`, and returns `none` at an error. */
#define READER(type, name, parameters, arguments, stream, lock, reads, none)                       \
  STORE_EXPORT type name parameters {                                                              \
    STORE_LIBC(name);                                                                              \
    if (store_is_awake() && are_libcs && (reads) && is_empty(stream) && !has_waited(stream, lock)) \
      return none;                                                                                 \
    return next arguments;                                                                         \
  }

READER(int, getc, (FILE * stream), (stream), stream, LOCKED, true, EOF)
READER(int, fgetc, (FILE * stream), (stream), stream, LOCKED, true, EOF)
READER(int, _IO_getc, (FILE * stream), (stream), stream, LOCKED, true, EOF)
READER(int, getchar, (void), (), stdin, LOCKED, true, EOF)
READER(int, getc_unlocked, (FILE * stream), (stream), stream, UNLOCKED, true, EOF)
READER(int, fgetc_unlocked, (FILE * stream), (stream), stream, UNLOCKED, true, EOF)
READER(int, getchar_unlocked, (void), (), stdin, UNLOCKED, true, EOF)
/* What getc_unlocked calls where it is compiled into its caller. */
READER(int, __uflow, (FILE * stream), (stream), stream, UNLOCKED, true, EOF)

READER(char*, fgets, (char* restrict to, int size, FILE* restrict stream), (to, size, stream), stream, LOCKED,
       size > 1, NULL)
READER(char*, fgets_unlocked, (char* restrict to, int size, FILE* restrict stream), (to, size, stream),
       stream, UNLOCKED, size > 1, NULL)
READER(char*, __fgets_chk, (char* to, size_t room, int size, FILE* stream), (to, room, size, stream), stream,
       LOCKED, size > 1, NULL)
READER(char*, __fgets_unlocked_chk, (char* to, size_t room, int size, FILE* stream), (to, room, size, stream),
       stream, UNLOCKED, size > 1, NULL)

READER(size_t, fread, (void* restrict to, size_t size, size_t count, FILE* restrict stream),
       (to, size, count, stream), stream, LOCKED, (size && count), 0)
READER(size_t, fread_unlocked, (void* restrict to, size_t size, size_t count, FILE* restrict stream),
       (to, size, count, stream), stream, UNLOCKED, (size && count), 0)
READER(size_t, __fread_chk, (void* to, size_t room, size_t size, size_t count, FILE* stream),
       (to, room, size, count, stream), stream, LOCKED, (size && count), 0)
READER(size_t, __fread_unlocked_chk, (void* to, size_t room, size_t size, size_t count, FILE* stream),
       (to, room, size, count, stream), stream, UNLOCKED, (size && count), 0)

READER(ssize_t, getline, (char** restrict to, size_t* restrict room, FILE* restrict stream),
       (to, room, stream), stream, LOCKED, true, -1)
READER(ssize_t, getdelim, (char** restrict to, size_t* restrict room, int delimiter, FILE* restrict stream),
       (to, room, delimiter, stream), stream, LOCKED, true, -1)
READER(ssize_t, __getdelim, (char** restrict to, size_t* restrict room, int delimiter, FILE* restrict stream),
       (to, room, delimiter, stream), stream, LOCKED, true, -1)
