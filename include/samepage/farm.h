/* The farm for frameworks that have their own event loop, and for C: forks workers from this initialised
 * process, forks them again from a warmed one, gives memory back between events, and tables it. Which events
 * there are, and that none is lost, stays the framework's affair; farm.hpp does that too.
 *
 * Link libsamepage-farm.so. Errors: functions return SAMEPAGE_OK or another code of samepage.h; what went
 * wrong stands in the report. Ownership: a report is the caller's, samepage_farm_free() ends it and every
 * string of it; nothing else is to be freed. Threads: one job at a time, from a thread that lives until it is
 * over; what is called in a worker, from the thread that runs its loop. Exceptions must not leave the
 * callbacks. */
#ifndef SAMEPAGE_FARM_H
#define SAMEPAGE_FARM_H

#include <samepage/samepage.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  unsigned workers;
  unsigned restarts;                 /* lost workers that are replaced, in all; 2 */
  int pin;                           /* 1: each worker on a core of its own; 0 */
  double reshare_budget;             /* part of a worker's time for giving pages back; 0.02 */
  unsigned long long warm_up_events; /* done by one worker, from which the others are forked then; 0 */
  unsigned time_limit_ms;            /* between two calls of samepage_farm_between_events(); 0: none */
  size_t memory_limit;               /* bytes that a worker may grow by after its fork; 0: none */

  /* The event loop, in each worker; the worker's process ends (_exit) when it returns. */
  void (*loop)(unsigned worker, void* context);
  /* The others may be null. */
  void (*worker_begins)(unsigned worker,
                        void* context);   /* in each new worker: open what cannot cross a fork */
  void (*before_template)(void* context); /* in a worker about to become template: close that */
  int (*check_template)(void* context);   /* there, afterwards; 0: it stays a worker */
  void* context;
} samepage_farm_job;

typedef struct samepage_farm_report samepage_farm_report;

/* The values that stand beside the fields, null and 0. */
SAMEPAGE_API void samepage_farm_defaults(samepage_farm_job* job);

/* Puts this process's constants into the store, forks the workers and returns when their loops are over.
 * SAMEPAGE_OK: all ended in order. SAMEPAGE_NOTHING_DONE: too many were lost, or a signal (SIGINT, SIGTERM)
 * ended the job. SAMEPAGE_INVALID: the job cannot be begun. `report`, if not null, is set in each case. */
SAMEPAGE_API int samepage_farm_run(const samepage_farm_job* job, samepage_farm_report** report);

/* What a loop is to do next. */
enum {
  SAMEPAGE_FARM_GO_ON = 0,
  SAMEPAGE_FARM_LEAVE = 1, /* close what is open and return: a successor takes the place */
  SAMEPAGE_FARM_BEGIN = 2  /* this is another process now, forked from the one that called */
};

/* In a loop, between two events, with nothing open that a fork would harm (or closed by before_template). A
 * worker that becomes the template does not return from here, its children do. SAMEPAGE_FARM_GO_ON outside a
 * worker. */
SAMEPAGE_API int samepage_farm_between_events(void);
/* The place of this process among the workers, from 0. */
SAMEPAGE_API unsigned samepage_farm_worker(void);
/* In a loop: this worker has built state that all will need; it may become the template of the others. */
SAMEPAGE_API void samepage_farm_offer(void);

/* One line, empty if nothing went wrong. */
SAMEPAGE_API const char* samepage_farm_error(const samepage_farm_report* report);
/* Private and shared memory of the workers before event 0, after event 1, after event 50 and at the end. */
SAMEPAGE_API const char* samepage_farm_memory_table(const samepage_farm_report* report);
SAMEPAGE_API const char* samepage_farm_json(const samepage_farm_report* report);
/* May be null. */
SAMEPAGE_API void samepage_farm_free(samepage_farm_report* report);

#ifdef __cplusplus
}
#endif
#endif
