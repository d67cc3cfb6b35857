/* A framework with an event loop of its own, on the farm's hooks: it deals out events by a counter in shared
 * memory, each worker writes a file of its own, and conditions that change with the event are built when they
 * are first needed.
 *
 *   own-loop WORKERS EVENTS INTERVAL MEGABYTES FOLDER
 *
 * A new interval of conditions begins every INTERVAL events and takes MEGABYTES. FOLDER gets a file per
 * worker's process. */
#include <samepage/farm.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct framework {
  long events, interval, present; /* `present`: interval that the conditions are of */
  size_t bytes;
  const char* folder;
  unsigned char* conditions;
  _Atomic long* next_event; /* shared by all workers */
  FILE* output;
};

static void open_output(unsigned worker, void* context) {
  struct framework* own = context;
  char path[4096];
  (void)worker;
  snprintf(path, sizeof path, "%s/%ld", own->folder, (long)getpid());
  own->output = fopen(path, "w");
  if (!own->output) _exit(1);
}

static void close_output(void* context) {
  struct framework* own = context;
  fclose(own->output);
  own->output = NULL;
}

static void load_conditions(struct framework* own, long interval) {
  if (own->present == interval) return;
  free(own->conditions);
  own->conditions = malloc(own->bytes);
  if (!own->conditions) _exit(1);
  memset(own->conditions, (int)(interval % 251), own->bytes);
  own->present = interval;
  samepage_farm_offer(); /* the others shall have them too */
}

static void loop(unsigned worker, void* context) {
  struct framework* own = context;
  (void)worker;
  for (;;) {
    const long event = atomic_fetch_add(own->next_event, 1);
    if (event >= own->events) break;
    load_conditions(own, event / own->interval);
    unsigned long sum = (unsigned long)event;
    for (size_t i = 0; i < own->bytes; i += 64) sum = sum * 31 + own->conditions[i];
    fprintf(own->output, "%ld %lx\n", event, sum);
    if (samepage_farm_between_events() == SAMEPAGE_FARM_LEAVE) break;
  }
  close_output(own);
}

int main(int argc, char** argv) {
  if (argc != 6) {
    fputs("usage: own-loop WORKERS EVENTS INTERVAL MEGABYTES FOLDER\n", stderr);
    return 2;
  }
  struct framework own = {atol(argv[2]), atol(argv[3]), -1,   (size_t)atol(argv[4]) << 20,
                          argv[5],       NULL,          NULL, NULL};
  own.next_event =
      mmap(NULL, sizeof *own.next_event, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (own.next_event == MAP_FAILED) return 1;

  samepage_farm_job job;
  samepage_farm_defaults(&job);
  job.workers = (unsigned)atol(argv[1]);
  job.loop = loop;
  job.worker_begins = open_output;
  job.before_template = close_output;
  job.context = &own;

  samepage_farm_report* report = NULL;
  const int code = samepage_farm_run(&job, &report);
  if (code != SAMEPAGE_OK) fprintf(stderr, "own-loop: %s\n", samepage_farm_error(report));
  puts(samepage_farm_json(report));
  samepage_farm_free(report);
  return code == SAMEPAGE_OK ? 0 : 1;
}
