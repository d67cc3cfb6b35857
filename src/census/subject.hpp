#pragma once

#include <memory>
#include <samepage/census.hpp>
#include <vector>

#include "census/page_list.hpp"
#include "census/pointer_map.hpp"
#include "linux/kernel_pages.hpp"
#include "linux/proc_fs.hpp"
#include "linux/process_memory.hpp"

namespace samepage {

/// Part of the pages: blocks of 64 pages, the same ones in mappings of the same name and order.
class Sample {
 public:
  explicit Sample(double part) : part_(part) {}

  bool takes(std::uint64_t place, std::uint64_t page_in_mapping) const;
  /// Which of kSubsets independent parts of the sample a block belongs to.
  static std::size_t subset(std::uint64_t place, std::uint64_t page_in_mapping);
  static constexpr std::size_t kSubsets = 16;
  double part() const { return part_; }

 private:
  double part_;
};

/// Mapped from the files of a store.
bool in_store(const Mapping& mapping);

/// A process that is looked at.
class Subject {
 public:
  /// `told.trouble` says why if it cannot be looked at; ready() then is false.
  Subject(pid_t pid, CensusProcess& told);

  bool ready() const { return memory_ != nullptr; }
  /// Lists its pages. `told.trouble` says so if some are left out.
  void list_pages(const Sample& sample, const KernelPages& kernel, PageList::Part& pages,
                  CensusProcess& told);
  /// Room for its pages in a list: for those that smaps counted, and for what its mappings may get meanwhile.
  std::size_t room(const Sample& sample) const;
  /// Whether it is still the process, and the program, that it was.
  bool still_there() const;

  const std::vector<Mapping>& mappings() const { return mappings_; }
  /// The same for mappings that have the same name and order in other processes.
  std::uint64_t place_of(std::uint32_t mapping) const { return places_[mapping]; }
  const ProcessMemory& memory() const { return *memory_; }
  const PointerMap& pointers() const { return *pointers_; }
  std::uint64_t swapped_pss() const { return swapped_pss_; }
  /// Whether it runs on samepage's heap.
  bool has_heap() const;
  bool pins_memory() const { return pins_memory_; }
  std::uint64_t resident_pages() const { return resident_pages_; }
  /// Of the one page of zeros that all share.
  std::uint64_t zero_pages() const { return zero_pages_; }
  /// What the figures of a sample are multiplied by.
  double scale() const {
    return listed_ ? static_cast<double>(resident_pages_) / static_cast<double>(listed_) : 1;
  }

 private:
  pid_t pid_;
  ProcFs proc_;
  ProcStat stat_;
  std::vector<Mapping> mappings_;
  std::vector<std::uint64_t> places_;
  std::unique_ptr<ProcessMemory> memory_;
  std::unique_ptr<PointerMap> pointers_;
  bool pins_memory_ = false;
  std::uint64_t resident_pages_ = 0, listed_ = 0, swapped_pss_ = 0, zero_pages_ = 0;
};

}  // namespace samepage
