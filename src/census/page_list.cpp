#include "census/page_list.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "linux/page_map.hpp"

namespace samepage {
namespace {

/// Nobody reads these bytes again before they are written.
void give_back(void* begin, void* end) {
  const std::uintptr_t first =
                           (reinterpret_cast<std::uintptr_t>(begin) + kPageSize - 1) / kPageSize * kPageSize,
                       last = reinterpret_cast<std::uintptr_t>(end) / kPageSize * kPageSize;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace

bool PageList::Part::add(std::uint32_t mapping, std::uint64_t address, std::uint64_t page_frame,
                         std::uint16_t page_facts, PageClass page_class) {
  if (size_ == capacity_) return false;
  if (runs_.empty() || runs_.back().mapping != mapping ||
      runs_.back().address + runs_.back().pages * kPageSize != address)
    runs_.push_back({address, static_cast<std::uint32_t>(size_), 0, 0, mapping});
  ++runs_.back().pages;
  const std::size_t at = begin_ + size_++;
  list_->contents_[at] = 0;
  list_->frames_[at] = page_frame;
  list_->all_facts_[at] = static_cast<std::uint16_t>(page_facts | static_cast<unsigned>(page_class));
  return true;
}

PageList::PageList(const std::vector<std::size_t>& capacities) {
  std::size_t begin = 0;
  for (const std::size_t capacity : capacities) {
    parts_.push_back(Part(*this, begin, capacity));
    begin += capacity;
  }
  contents_ = std::make_unique_for_overwrite<std::uint64_t[]>(begin);
  frames_ = std::make_unique_for_overwrite<std::uint64_t[]>(begin);
  all_facts_ = std::make_unique_for_overwrite<std::uint16_t[]>(begin);
}

void PageList::append(std::size_t number, std::uint32_t process) {
  Part& part = parts_[number];
  const auto move = [&](auto& array) {
    std::memmove(&array[size_], &array[part.begin_], part.size_ * sizeof array[0]);
    give_back(&array[size_ + part.size_], &array[part.begin_ + part.size_]);
  };
  move(contents_);
  move(frames_);
  move(all_facts_);
  for (Run run : part.runs_) {
    run.first += static_cast<std::uint32_t>(size_);
    run.process = process;
    runs_.push_back(run);
  }
  part.runs_ = {};
  size_ += part.size_;
  content = {contents_.get(), size_};
  frame = {frames_.get(), size_};
  facts = {all_facts_.get(), size_};
}

const PageList::Run& PageList::run_of(std::size_t position) const {
  return *std::prev(std::upper_bound(runs_.begin(), runs_.end(), position,
                                     [](std::size_t at, const Run& run) { return at < run.first; }));
}

std::uint64_t PageList::address_of(std::size_t position) const {
  const Run& run = run_of(position);
  return run.address + (position - run.first) * kPageSize;
}

std::size_t PageList::find(std::uint32_t process, std::uint64_t address) const {
  const auto after =
      std::upper_bound(runs_.begin(), runs_.end(), address, [&](std::uint64_t at, const Run& run) {
        return process != run.process ? process < run.process : at < run.address;
      });
  if (after == runs_.begin()) return size();
  const Run& run = *std::prev(after);
  if (run.process != process || address >= run.address + run.pages * kPageSize) return size();
  return run.first + (address - run.address) / kPageSize;
}

}  // namespace samepage
