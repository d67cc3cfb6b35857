#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "farm/journal.hpp"
#include "farm/quarantine.hpp"
#include "samepage/farm.hpp"

namespace samepage::farm {

/// Takes the blocks' records in any order, and brings outputs and merged results into order; commits both
/// together, with the quarantine file, in the journal. The writer and the serial job each have one.
class Committer {
 public:
  /// Opens the sink; goes on behind `committed`. Throws JobError.
  Committer(const Job& job, const std::optional<Journal>& journal, Committed committed, bool resumed);

  /// Each block once.
  void add(std::span<const std::byte> record);

  std::uint64_t events() const { return events_; }  // taken, in order or ahead of it
  std::uint64_t quarantined() const { return state_.quarantined; }

  /// Commits if the time has come; says when that will be, if something waits.
  std::optional<std::chrono::steady_clock::time_point> commit_if_due();
  void commit();
  /// The job ends early: keeps what is done for the next run if there is a journal, else leaves nothing
  /// behind.
  void break_off();
  /// After the last event: final commit, the sink's final form, no more journal. Returns the merged result.
  std::string finish();

 private:
  /// A block that came before its turn.
  struct Early {
    std::uint64_t events = 0;
    std::vector<std::byte> record;  // ordered output
    std::string merged;             // unordered output, which is written already
  };

  void write_outputs(std::span<const std::byte> record);
  void take_in_order(std::uint64_t events, std::string_view merged);

  const Job& job_;
  std::optional<Journal> journal_;
  std::unique_ptr<Sink> sink_;
  std::optional<QuarantineFile> quarantine_;
  std::unique_ptr<Accumulator> total_;
  Committed state_;  // events, quarantined and ahead as of now; the rest as of the last commit
  std::map<std::uint64_t, Early> early_;  // by first index
  std::uint64_t events_;
  std::optional<std::chrono::steady_clock::time_point> due_;  // set while something is not committed
};

}  // namespace samepage::farm
