#pragma once

#include <atomic>
#include <functional>

#include "census/page_list.hpp"
#include "census/subject.hpp"

namespace samepage {

/// Reads pages on several threads, by position, several at a time.
class Look {
 public:
  Look(const PageList& list, const std::vector<Subject>& subjects, unsigned threads,
       const std::function<bool()>& cancelled)
      : list_(list), subjects_(subjects), threads_(threads), cancelled_(cancelled) {}

  /// Calls visit(thread, position, pages, bytes) for all pages for which wanted(position) holds, as many at
  /// once as follow one another; and gone(position) for each that could not be read.
  template <typename Wanted, typename Visit, typename Gone>
  void at(Wanted wanted, Visit visit, Gone gone);

  static constexpr std::size_t kAtOnce = 128;  // pages: what fits into a core's cache beside the rest

  unsigned threads() const { return threads_; }
  /// Pages that were read otherwise.
  void add_bytes_read(std::size_t bytes) { bytes_read_.fetch_add(bytes, std::memory_order_relaxed); }
  std::uint64_t bytes_read() const { return bytes_read_; }
  bool cancelled() const { return cancelled_ && cancelled_(); }

 private:
  ProcessMemory::Pages pages_at(std::size_t position) const {
    using Pages = ProcessMemory::Pages;
    if (list_.has(position, PageList::kFile)) return Pages::file;
    return list_.has(position, PageList::kAlone) ? Pages::alone : Pages::shared;
  }

  const PageList& list_;
  const std::vector<Subject>& subjects_;
  unsigned threads_;
  const std::function<bool()>& cancelled_;
  std::atomic<std::uint64_t> bytes_read_{0};
};

template <typename Wanted, typename Visit, typename Gone>
void Look::at(Wanted wanted, Visit visit, Gone gone) {
  constexpr std::size_t kPagesPerTask = 2048;
  struct alignas(kPageSize) Buffer {
    PageWords pages[kAtOnce];
  };
  const auto buffers = std::make_unique<Buffer[]>(threads_);
  in_parallel(
      threads_, (list_.size() + kPagesPerTask - 1) / kPagesPerTask, [&](unsigned thread, std::size_t task) {
        if (cancelled()) return;
        const std::size_t end = std::min(list_.size(), (task + 1) * kPagesPerTask);
        const PageList::Run* run = nullptr;
        for (std::size_t at = task * kPagesPerTask; at < end;) {
          if (!wanted(at)) {
            ++at;
            continue;
          }
          if (!run || at >= run->first + run->pages) run = &list_.run_of(at);
          const ProcessMemory::Pages pages = pages_at(at);
          const std::size_t limit = std::min({end, std::size_t{run->first} + run->pages, at + kAtOnce});
          std::size_t stop = at + 1;
          while (stop < limit && wanted(stop) && pages_at(stop) == pages) ++stop;
          const std::uint64_t address = run->address + (at - run->first) * kPageSize;
          const std::size_t size = (stop - at) * kPageSize;
          const std::size_t got =
              subjects_[run->process].memory().read(address, buffers[thread].pages, size, pages);
          const std::size_t whole = got / kPageSize;
          bytes_read_.fetch_add(whole * kPageSize, std::memory_order_relaxed);
          if (whole) visit(thread, at, whole, buffers[thread].pages);
          at += whole;
          if (at < stop) gone(at++);
        }
      });
}

}  // namespace samepage
