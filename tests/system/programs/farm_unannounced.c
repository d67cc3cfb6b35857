/* A farm whose template forks a worker and never gets to say so: a fork handler holds it. That worker takes
 * long to end, since it has much memory, and prints its pid when it has it. */
#include <pthread.h>
#include <samepage/farm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pid_t supervisor, template;

static void hold(void) {
  if (getpid() != supervisor)
    for (;;) pause();
}

static void loop(unsigned worker, void* context) {
  (void)context;
  if (worker == 0) {
    template = getpid();
    samepage_farm_offer();
  }
  while (samepage_farm_between_events() != SAMEPAGE_FARM_LEAVE) {
    if (worker == 0 && getpid() != template) {
      const size_t bytes = (size_t)600 << 20;
      char* memory = malloc(bytes);
      if (memory) memset(memory, 1, bytes);
      printf("%ld\n", (long)getpid());
      fflush(stdout);
      template = getpid();
    }
    usleep(1000);
  }
}

int main(void) {
  supervisor = getpid();
  pthread_atfork(NULL, hold, NULL);
  samepage_farm_job job;
  samepage_farm_defaults(&job);
  job.workers = 2;
  job.loop = loop;
  samepage_farm_report* report = NULL;
  const int code = samepage_farm_run(&job, &report);
  samepage_farm_free(report);
  return code == SAMEPAGE_OK ? 0 : 1;
}
