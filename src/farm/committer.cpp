#include "farm/committer.hpp"

#include "farm/block_record.hpp"

namespace samepage::farm {

Committer::Committer(const Job& job, const std::optional<Journal>& journal, Committed committed, bool resumed)
    : job_(job), journal_(journal), sink_(job.sink ? job.sink() : no_sink()), state_(std::move(committed)) {
  if (!job.options.quarantine.empty()) {
    quarantine_.emplace(job.options.quarantine);
    if (!state_.complete) quarantine_->open(state_.quarantine_bytes);
  }
  if (job.merged) {
    total_ = job.merged->another();
    if (!state_.merged.empty()) total_->load(state_.merged);
  }
  events_ = state_.events;
  for (Committed::Ahead& ahead : state_.ahead) {
    events_ += ahead.events;
    early_[ahead.first_index] = {ahead.events, {}, std::move(ahead.merged)};
  }
  state_.ahead.clear();
  if (!state_.complete) sink_->open(resumed ? std::optional(state_.sink) : std::nullopt);
  // From here on the output's beginnings are there: they must have a journal to be resumed from.
  if (journal_ && !resumed) {
    state_.sink = sink_->commit();
    journal_->write(state_);
  }
}

void Committer::write_outputs(std::span<const std::byte> record) {
  BlockRecordView block(record);
  for (std::uint32_t i = 0; i < block.events(); ++i) {
    const auto entry = block.next();
    if (entry.quarantined) {
      ++state_.quarantined;
      quarantine_->add(entry.number, entry.reason, entry.bytes);
    } else {
      sink_->write(entry.number, entry.bytes);
    }
  }
}

void Committer::take_in_order(std::uint64_t events, std::string_view merged) {
  if (total_) total_->merge(merged);
  state_.events += events;
}

void Committer::add(std::span<const std::byte> record) {
  const BlockRecordView block(record);
  const bool ordered = job_.options.ordered, in_turn = block.first_index() == state_.events;
  if (!due_) due_ = std::chrono::steady_clock::now() + job_.options.commit_every;
  events_ += block.events();
  if (in_turn || !ordered) write_outputs(record);
  if (!in_turn) {
    Early& early = early_[block.first_index()];
    early.events = block.events();
    if (ordered) {
      early.record.assign(record.begin(), record.end());
    } else {
      early.merged = block.merged();
    }
    return;
  }
  take_in_order(block.events(), block.merged());
  for (auto next = early_.begin(); next != early_.end() && next->first == state_.events;
       next = early_.erase(next)) {
    if (!ordered) {
      take_in_order(next->second.events, next->second.merged);
      continue;
    }
    write_outputs(next->second.record);
    take_in_order(next->second.events, BlockRecordView(next->second.record).merged());
  }
}

std::optional<std::chrono::steady_clock::time_point> Committer::commit_if_due() {
  if (due_ && journal_ && std::chrono::steady_clock::now() >= *due_) commit();
  return journal_ ? due_ : std::nullopt;
}

void Committer::commit() {
  state_.sink = sink_->commit();
  if (quarantine_) state_.quarantine_bytes = quarantine_->commit();
  due_.reset();
  if (!journal_) return;
  if (total_) state_.merged = total_->save();
  state_.ahead.clear();
  if (!job_.options.ordered)
    for (const auto& [first, early] : early_) state_.ahead.push_back({first, early.events, early.merged});
  journal_->write(state_);
}

void Committer::break_off() {
  if (journal_) {
    commit();
  } else {
    sink_->abandon();
  }
}

std::string Committer::finish() {
  if (!state_.complete) {
    state_.complete = true;
    commit();
  }
  std::string merged = total_ ? total_->save() : std::string();
  sink_->finish(std::as_bytes(std::span(merged.data(), merged.size())));
  if (journal_) journal_->remove();
  return merged;
}

}  // namespace samepage::farm
