#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "census/look.hpp"

namespace samepage {

/// For one thread that loads single pages of some processes at ascending addresses: reads those that follow
/// in the same call. A page may so be as old as the call.
class ReadAhead {
 public:
  explicit ReadAhead(std::size_t processes)
      : pages_(std::clamp<std::size_t>(kPagesInAll / processes, 1, kPagesOfOne)),
        windows_(std::min(processes, kPagesInAll)) {}

  /// A page, valid until the next call; null if it could not be read. wanted(position): worth reading ahead.
  template <typename Wanted>
  const PageWords* load(const PageList& list, Look& look, const std::vector<Subject>& subjects,
                        std::size_t position, Wanted wanted);

 private:
  static constexpr std::size_t kPagesInAll = 256, kPagesOfOne = 64;
  struct Page {
    PageWords bytes;
  };
  struct Window {
    std::size_t first = 0, pages = 0;
    std::unique_ptr<Page[]> bytes;
  };
  std::size_t pages_;
  std::vector<Window> windows_;
};

template <typename Wanted>
const PageWords* ReadAhead::load(const PageList& list, Look& look, const std::vector<Subject>& subjects,
                                 std::size_t position, Wanted wanted) {
  const PageList::Run& run = list.run_of(position);
  Window& window = windows_[run.process % windows_.size()];
  if (!window.bytes) window.bytes = std::make_unique_for_overwrite<Page[]>(pages_);
  if (position < window.first || position >= window.first + window.pages) {
    const std::uint64_t address = run.address + (position - run.first) * kPageSize;
    const std::size_t limit = std::min(std::size_t{run.first} + run.pages, position + pages_);
    std::size_t end = position + 1;
    while (end < limit && wanted(end) && list.is_private(end) == list.is_private(position)) ++end;
    const std::size_t got = subjects[run.process].memory().read(
        address, window.bytes.get(), (end - position) * kPageSize,
        list.is_private(position) ? ProcessMemory::Pages::alone : ProcessMemory::Pages::shared);
    window.first = position;
    window.pages = got / kPageSize;
    look.add_bytes_read(window.pages * kPageSize);
    if (!window.pages) return nullptr;
  }
  return &window.bytes[position - window.first].bytes;
}

}  // namespace samepage
