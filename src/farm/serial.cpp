#include "farm/serial.hpp"

#include <chrono>

#include "farm/block_limits.hpp"
#include "farm/block_record.hpp"
#include "farm/committer.hpp"
#include "farm/memory.hpp"
#include "farm/reader.hpp"

namespace samepage::farm {

namespace {

class SerialJob final : private EventBuffer {
 public:
  SerialJob(const Job& job, const std::optional<Journal>& journal, const Committed& committed, bool resumed)
      : job_(job),
        done_(committed),
        limits_(job.options, job.merged != nullptr),
        committer_(job, journal, committed, resumed) {}

  void run(Report& report) {
    sample(report, false);
    const std::unique_ptr<Source> source = job_.source();
    const auto& at = job_.options.memory_at;
    for (;;) {
      number_ = index_;
      if (!source->next(*this)) break;
      if (!done_.contains(index_++)) {
        pending_.back().number = number_;
        if (limits_.is_fixed() ? limits_.full(static_cast<std::uint32_t>(pending_.size()), bytes_, 0) : true)
          process();
      }
      report.events = committer_.events();
      if (report.events == 1 || std::find(at.begin(), at.end(), report.events) != at.end())
        sample(report, false);
    }
    if (index_ == 0) throw JobError("the source has no event");
    process();
    report.merged = committer_.finish();
    sample(report, true);
    report.events = committer_.events();
    report.quarantined = committer_.quarantined();
    report.status = report.quarantined ? Report::Status::partial : Report::Status::complete;
  }

  void break_off() { committer_.break_off(); }

 private:
  struct Pending {
    std::uint64_t number;
    std::vector<std::byte> bytes;
    std::string reason;  // why it goes to quarantine
  };

  std::span<std::byte> allocate(std::size_t size) override {
    if (size > job_.options.max_event_bytes) {
      throw JobError("event " + std::to_string(number_) + " has " + std::to_string(size) +
                     " bytes; the limit (max_event_bytes) is " +
                     std::to_string(job_.options.max_event_bytes));
    }
    if (done_.contains(index_)) {
      dropped_.resize(size);
      return dropped_;
    }
    if (limits_.full_before(static_cast<std::uint32_t>(pending_.size()), bytes_, size)) process();
    if (pending_.empty()) first_index_ = index_;
    pending_.push_back({number_, std::vector<std::byte>(size), {}});
    bytes_ += size;
    return pending_.back().bytes;
  }
  void set_number(std::uint64_t number) override { number_ = number; }

  /// The block that is pending. An event that throws is left out, and the block begun anew.
  void process() {
    if (pending_.empty()) return;
    while (!try_block()) {
    }
    committer_.add(record_.bytes());
    committer_.commit_if_due();
    pending_.clear();
    bytes_ = 0;
  }

  bool try_block() {
    record_.begin(first_index_);
    if (job_.merged) job_.merged->clear();
    for (Pending& event : pending_) {
      if (!event.reason.empty()) {
        record_.add_quarantined(event.number, event.reason, event.bytes);
        continue;
      }
      output_.clear();
      try {
        job_.process({event.number, event_seed(job_.options.seed, event.number), event.bytes, 0}, output_);
      } catch (const std::exception& error) {
        event.reason = std::string("threw: ") + error.what();
        if (job_.options.quarantine.empty())
          throw JobError("event " + std::to_string(event.number) + " failed 1 time: " + event.reason);
        return false;
      }
      record_.add_output(event.number, output_.bytes());
    }
    record_.end(job_.merged ? job_.merged->save() : std::string());
    return true;
  }

  void sample(Report& report, bool end) {
    report.memory.push_back(measure_memory(0, committer_.events(), end, 0));
  }

  const Job& job_;
  const DoneEvents done_;
  const BlockLimits limits_;
  Committer committer_;
  std::vector<Pending> pending_;
  std::size_t bytes_ = 0;
  std::uint64_t first_index_ = 0, index_ = 0, number_ = 0;
  std::vector<std::byte> dropped_;
  Output output_;
  BlockRecord record_;
};

}  // namespace

Report run_serially(const Job& job, const std::optional<Journal>& journal, const Committed& committed,
                    bool resumed) {
  Report report;
  const auto began = std::chrono::steady_clock::now();
  SerialJob serial(job, journal, committed, resumed);
  if (job.worker_begins) job.worker_begins(0);
  try {
    serial.run(report);
  } catch (const JobError& error) {
    report.status = Report::Status::failed;
    report.error = error.what();
    serial.break_off();
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return report;
}

}  // namespace samepage::farm
