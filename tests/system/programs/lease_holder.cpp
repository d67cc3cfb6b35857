// lease_holder PID...: holds a KSM lease for these processes, ticking every half second, and prints a line
// whenever a burst begins or ends, until its input ends. `samepage run --ksm` does the same for its copies.
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "ksm/lease.hpp"
#include "linux/proc_fs.hpp"

namespace {

samepage::KsmGroupSample sample_of(const std::vector<pid_t>& pids) {
  samepage::ProcFs proc;
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  samepage::KsmGroupSample sample{.seconds = std::chrono::duration<double>(now).count()};
  std::uint64_t merged_pages = 0;
  for (pid_t pid : pids) {
    if (auto status = proc.status(pid)) sample.anonymous_bytes += status->rss_anon.value_or(0) * 1024;
    if (auto ksm = proc.ksm_stat(pid)) merged_pages += ksm->merging_pages.value_or(0);
  }
  sample.merged_bytes = merged_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return sample;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<pid_t> pids;
  for (int i = 1; i < argc; ++i) pids.push_back(std::atoi(argv[i]));
  samepage::KsmLease::repair();
  std::string why_not;
  std::optional<samepage::KsmLease> lease = samepage::KsmLease::take(why_not);
  if (!lease) {
    std::printf("%s\n", why_not.c_str());
    return 1;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::puts("taken");
  bool bursting = false;
  for (pollfd input{STDIN_FILENO, POLLIN, 0}; ::poll(&input, 1, 500) == 0;) {
    samepage::KsmGroupSample sample = sample_of(pids);
    lease->tick(sample);
    if (lease->bursting() == bursting) continue;
    bursting = lease->bursting();
    std::printf("%s %llu of %llu\n", bursting ? "burst" : "idle",
                static_cast<unsigned long long>(*sample.merged_bytes),
                static_cast<unsigned long long>(sample.anonymous_bytes));
  }
}
