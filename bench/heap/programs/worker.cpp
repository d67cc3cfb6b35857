#include "worker.hpp"

#include "event.hpp"

namespace samepage {

Worker::Worker(Conditions& conditions, const WorkerOptions& options, std::uint64_t seed)
    : conditions_(conditions), options_(options), begin_(options.threads), end_(options.threads) {
  for (std::uint32_t share = 0; share < options.threads + options.fresh_threads; ++share)
    randoms_.emplace_back(seed * 1000 + share);
  for (std::uint32_t share = 1; share < options.threads; ++share)
    threads_.emplace_back([this, share] {
      for (;;) {
        begin_.arrive_and_wait();
        if (stop_) return;
        process_share(share);
        end_.arrive_and_wait();
      }
    });
}

Worker::~Worker() {
  stop_ = true;
  begin_.arrive_and_wait();
}

void Worker::process() {
  if (options_.replaced > 0) conditions_.replace(options_.replaced, randoms_[0]);
  std::vector<std::jthread> fresh;
  for (std::uint32_t i = 0; i < options_.fresh_threads; ++i)
    fresh.emplace_back([this, share = options_.threads + i] { process_share(share); });
  begin_.arrive_and_wait();
  process_share(0);
  end_.arrive_and_wait();
}

void Worker::process_share(std::uint32_t share) {
  const auto shares = static_cast<std::uint32_t>(randoms_.size());
  result_ += process_event(conditions_, options_.allocations / shares, randoms_[share]);
}

}  // namespace samepage
