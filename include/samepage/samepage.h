/* Samepage for C and other languages.
 *
 * Errors: functions return SAMEPAGE_OK (0) or another SAMEPAGE_ code; samepage_error_string says it in words.
 * Without libsamepage-heap.so in the process (preloaded, or linked) the heap's functions return
 * SAMEPAGE_NO_HEAP and do nothing, so a program may call them unconditionally.
 * Ownership: nothing returned here is to be freed. Pointers must not be null unless stated.
 * Threads: every function may be called from any thread, none from a signal handler. */
#ifndef SAMEPAGE_H
#define SAMEPAGE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SAMEPAGE_API __attribute__((visibility("default")))

enum {
  SAMEPAGE_OK = 0,
  SAMEPAGE_NO_HEAP = 1,         /* libsamepage-heap.so is not in this process */
  SAMEPAGE_ALREADY_SETTLED = 2, /* before, or this is a forked child, which is past it from the start */
  SAMEPAGE_INVALID = 3,         /* an argument is null or out of range */
  SAMEPAGE_NOTHING_DONE = 4,    /* the store left something as it was: its statistics say why */
  SAMEPAGE_NO_KSM = 5,          /* this kernel has no KSM, or not this part of it */
  SAMEPAGE_SYSTEM = 6,          /* the system refused: errno says why */
  SAMEPAGE_NO_WATCHDOG = 7,     /* samepage watchdog does not run, or does not answer */
  SAMEPAGE_REFUSED = 8          /* the watchdog said no */
};

/* A constant string, also for codes that do not exist. */
SAMEPAGE_API const char* samepage_error_string(int code);
/* "0.1.0". */
SAMEPAGE_API const char* samepage_version(void);

/* Says that initialisation is over: what was allocated so far is constant, what follows is tactical (of one
 * event or request) and never shares a page with it. Programs that fork workers need not call it. */
SAMEPAGE_API int samepage_settle(void);

/* What this thread allocates until samepage_scope_end() is constant, or tactical, whatever the process's
 * phase. Scopes nest; allocation in a scope that differs from the phase is slower (it passes the thread's
 * cache). */
SAMEPAGE_API int samepage_constant_begin(void);
SAMEPAGE_API int samepage_tactical_begin(void);
SAMEPAGE_API int samepage_scope_end(void);

/* All sizes in bytes. */
typedef struct {
  size_t constant_mapped; /* address range of constant extents */
  size_t constant_active; /* pages of them that hold allocations */
  size_t tactical_mapped;
  size_t tactical_active;
  size_t constant_freed; /* constants freed since settle or fork: their pages are not used again */
  size_t ksm_registered; /* memory that the heap has registered with the kernel's Samepage Merging */
  unsigned generation;   /* forks between the first process and this one */
  int settled;           /* 1 after settle, and in forked children */
} samepage_heap_stats;

SAMEPAGE_API int samepage_heap_statistics(samepage_heap_stats* stats);

/* ---- the store: docs/store.md ---- */

/* Shares this process's constants, now and completely, with its relatives: the other copies of a `samepage
 * run`, the process that forked it, its siblings and the children that it will fork. Settles the process if
 * that has not happened. The bytes of the process do not change. Takes 0.3 to 0.6 s per GB, several
 * times as long where a host must find the memory first. */
SAMEPAGE_API int samepage_seal(void);

/* Has constants allocated in the store's memory from here on, so that sealing them copies nothing: it takes
 * some 40 ms per GB, at the first fork or samepage_seal(), where this ends. For a process that
 * initialises and then forks workers; to be called before it allocates much. Until then it may make children
 * through libc's fork, vfork, posix_spawn and system alone (not with clone(2), nor _Fork), may have no read
 * into such memory under way at its first fork nor buffers of it registered with the kernel (O_DIRECT,
 * io_uring), and must leave its high descriptors open: its children might miss memory otherwise. What it has
 * locked is not locked after it, and such memory has no 2 MB pages. SAMEPAGE_NOTHING_DONE: it has relatives
 * already, its launcher was told --join or --layout fixed, there are no memory files, or a limit
 * (RLIMIT_DATA, vm.overcommit_memory=2) stands against it. Ends also where the process asks about a sandbox
 * (PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS). */
SAMEPAGE_API int samepage_allocate_in_store(void);

/* Gives back every page of the shared constants that was written and holds its old bytes again. Some 2 to 4
 * µs per page that was written. */
SAMEPAGE_API int samepage_reshare(void);

/* Turns the store off in this process, for good: its constants become private memory again, with the bytes
 * that they have. Needs as much memory. */
SAMEPAGE_API int samepage_unseal(void);

/* Why the store left something as it was. */
typedef enum {
  SAMEPAGE_STORE_OFF,           /* SAMEPAGE_STORE=off, or turned off since; also after one of the next two */
  SAMEPAGE_STORE_SANDBOX,       /* the process has confined itself (prctl, seccomp): no more since then */
  SAMEPAGE_STORE_RULES,         /* the program has rules (madvise) for too many parts: no more since then */
  SAMEPAGE_STORE_SMALL,         /* samepage_seal() found no constants */
  SAMEPAGE_STORE_THREADS,       /* other threads could not be stopped */
  SAMEPAGE_STORE_PINNED,        /* memory is pinned for the kernel or a device (VmPin) */
  SAMEPAGE_STORE_ASYNC_IO,      /* an AIO context or an io_uring may write to memory at any time */
  SAMEPAGE_STORE_TRACED,        /* a debugger is attached */
  SAMEPAGE_STORE_SHARED,        /* another process has the same memory (clone(2) with CLONE_VM) */
  SAMEPAGE_STORE_LOCKED,        /* constants are locked (mlock), or all that is mapped from now on */
  SAMEPAGE_STORE_PAGEMAP,       /* /proc/self/pagemap cannot be read: changed user, no /proc */
  SAMEPAGE_STORE_MEMORY_FILE,   /* no memory file: not permitted, or none left that the process inherited */
  SAMEPAGE_STORE_DESCRIPTORS,   /* too few file descriptors */
  SAMEPAGE_STORE_ADDRESS_SPACE, /* a limit on the address space (RLIMIT_AS) */
  SAMEPAGE_STORE_MAP_COUNT,     /* vm.max_map_count would come too near */
  SAMEPAGE_STORE_MEMORY,        /* no memory for publishing: a cgroup's limit, or that of shared memory */
  SAMEPAGE_STORE_HOLDER,        /* what a relative holds or published is not what it should be */
  SAMEPAGE_STORE_CGROUP,        /* the launcher is in another cgroup, and was not told --across-cgroups */
  SAMEPAGE_STORE_BUSY,          /* another thread or process was at it */
  SAMEPAGE_STORE_REASONS
} samepage_store_reason;

/* The reason's name in the statistics, such as "async_io". NULL if there is none. */
SAMEPAGE_API const char* samepage_store_reason_name(int reason);

/* Of this process. Sizes in bytes, times in seconds. A forked child starts with `sealed` of its parent and
 * the rest zero. */
typedef struct {
  size_t sealed;         /* constants that are mapped from the store now */
  size_t published;      /* put into the store by this process */
  size_t found;          /* found there, equal, and mapped */
  size_t private_before; /* of the sealed, private to this process when the last pass began */
  size_t private_after;  /* and when it ended; before the first one, what sealing left so */
  size_t given_back;     /* by all passes */
  size_t given_up;       /* pages that are written again after every pass, and so are left alone now */
  size_t plain_again;    /* sealed once, and now plain memory: freed, or mostly rewritten */
  size_t huge;           /* published in 2 MB pages */
  size_t resealed;       /* of the sealed, came to hold other bytes, shared with a relative again */
  unsigned long passes;
  unsigned long faults_caused; /* pages given back that were written again */
  double seal_seconds;         /* CPU time of sealing */
  double pass_seconds;         /* CPU time of passes */
  double
      longest_pause; /* for which it held up a thread at once; not who calls samepage_seal() and its like */
  unsigned long reasons[SAMEPAGE_STORE_REASONS]; /* how often each kept the store from something */
} samepage_store_stats;

SAMEPAGE_API int samepage_store_statistics(samepage_store_stats* stats);

/* ---- the kernel's Samepage Merging (KSM): docs/ksm.md. Needs neither the heap nor privilege ---- */

/* Lets KSM merge the whole pages of [begin, begin + size), if they are private anonymous memory; other memory
 * is passed over. Children inherit it, exec'd programs do not. */
SAMEPAGE_API int samepage_ksm_register(const void* begin, size_t size);
/* Takes them out again: each merged page takes memory of its own. */
SAMEPAGE_API int samepage_ksm_deregister(const void* begin, size_t size);

/* The same for all that the process has and will have (Linux 6.4), but for what is registered by itself. */
SAMEPAGE_API int samepage_ksm_register_all(void);
SAMEPAGE_API int samepage_ksm_deregister_all(void);

/* Of this process, in bytes; what an older kernel does not tell is 0. */
typedef struct {
  size_t merged;    /* in merged pages */
  size_t zero;      /* in pages of zeros that KSM replaced (use_zero_pages) */
  size_t looked_at; /* known to ksmd, which keeps 64 bytes for each page */
  long long profit; /* merged + zero - what ksmd keeps */
  int registered_all;
} samepage_ksm_stats;

SAMEPAGE_API int samepage_ksm_statistics(samepage_ksm_stats* stats);

/* Asks samepage watchdog to have this process merged fast now: worth it once much has been registered. Waits
 * two seconds at most for the answer, not for the merging. After SAMEPAGE_REFUSED the watchdog's reason
 * stands in `reason`, cut to `size` bytes with the NUL; it may be NULL. */
SAMEPAGE_API int samepage_ksm_burst(char* reason, size_t size);

#ifdef __cplusplus
}
#endif
#endif
