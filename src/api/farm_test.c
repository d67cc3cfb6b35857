/* farm.h compiles as strict C, and its refusals come as codes and words. */
#include <samepage/farm.h>
#include <stdio.h>
#include <string.h>

static int failures = 0;

static void expect(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "failed: %s\n", what);
  ++failures;
}

static void loop(unsigned worker, void* context) {
  int* place = context;
  *place = (int)worker;
}

static void lose(unsigned worker, void* context) {
  (void)context;
  if (worker == 1) __builtin_trap();
}

int main(void) {
  samepage_farm_job job;
  samepage_farm_report* report = NULL;
  int place = -1;

  samepage_farm_defaults(&job);
  expect(samepage_farm_run(&job, &report) == SAMEPAGE_INVALID, "a job without a loop is refused");
  expect(strstr(samepage_farm_error(report), "loop") != NULL, "and says why");
  samepage_farm_free(report);

  job.loop = loop;
  job.context = &place;
  expect(samepage_farm_run(&job, NULL) == SAMEPAGE_INVALID, "a job without workers is refused");

  job.workers = 2;
  expect(samepage_farm_run(&job, &report) == SAMEPAGE_OK, "loops that return end the job");
  expect(place == -1, "they ran in other processes");
  expect(strstr(samepage_farm_memory_table(report), "event 0") != NULL, "memory is tabled");
  expect(strstr(samepage_farm_json(report), "\"complete\"") != NULL, "as JSON too");
  samepage_farm_free(report);

  job.loop = lose;
  job.restarts = 3;
  expect(samepage_farm_run(&job, &report) == SAMEPAGE_NOTHING_DONE, "a worker that always dies ends the job");
  expect(strstr(samepage_farm_error(report), "worker 1 was lost") != NULL, "and is named");
  samepage_farm_free(report);
  samepage_farm_free(NULL);

  expect(samepage_farm_between_events() == SAMEPAGE_FARM_GO_ON, "nothing to do outside a worker");
  return failures != 0;
}
