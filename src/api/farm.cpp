#include "samepage/farm.h"

#include <exception>
#include <memory>
#include <string>

#include "samepage/farm.hpp"

struct samepage_farm_report {
  std::string error, memory_table, json;
};

namespace {

namespace farm = samepage::farm;

farm::Job job_of(const samepage_farm_job& c) {
  farm::Job job;
  job.options.workers = c.workers;
  job.options.retries = c.restarts;
  job.options.pin = c.pin != 0;
  job.options.reshare_budget = c.reshare_budget;
  job.options.warm_up_events = c.warm_up_events;
  job.options.time_limit = std::chrono::milliseconds(c.time_limit_ms);
  job.options.memory_limit = c.memory_limit;
  job.options.progress = farm::Options::Progress::none;
  job.own_loop = [&c](unsigned worker) { c.loop(worker, c.context); };
  if (c.worker_begins) job.worker_begins = [&c](unsigned worker) { c.worker_begins(worker, c.context); };
  if (c.before_template) job.before_template = [&c] { c.before_template(c.context); };
  if (c.check_template) job.check_template = [&c] { return c.check_template(c.context) != 0; };
  return job;
}

}  // namespace

extern "C" {

void samepage_farm_defaults(samepage_farm_job* job) {
  *job = {};
  job->restarts = farm::Options().retries;
  job->reshare_budget = farm::Options().reshare_budget;
}

int samepage_farm_run(const samepage_farm_job* job, samepage_farm_report** report) {
  auto told = std::make_unique<samepage_farm_report>();
  int code = SAMEPAGE_INVALID;
  if (!job || !job->loop) {
    told->error = "a job needs a loop";
  } else {
    try {
      const farm::Report result = farm::run(job_of(*job));
      told->error = result.error;
      told->memory_table = farm::memory_table(result);
      told->json = farm::to_json(result);
      code = result.status == farm::Report::Status::complete ? SAMEPAGE_OK : SAMEPAGE_NOTHING_DONE;
    } catch (const std::exception& error) {
      told->error = error.what();
    }
  }
  if (report) *report = told.release();
  return code;
}

int samepage_farm_between_events() {
  return static_cast<int>(farm::between_events());
}
unsigned samepage_farm_worker() {
  return farm::this_worker();
}
void samepage_farm_offer() {
  farm::offer_as_template();
}

const char* samepage_farm_error(const samepage_farm_report* report) {
  return report->error.c_str();
}
const char* samepage_farm_memory_table(const samepage_farm_report* report) {
  return report->memory_table.c_str();
}
const char* samepage_farm_json(const samepage_farm_report* report) {
  return report->json.c_str();
}
void samepage_farm_free(samepage_farm_report* report) {
  delete report;
}

}  // extern "C"
