#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "linux/page_map.hpp"
#include "linux/smaps_text.hpp"

namespace samepage {

using PageWords = std::uint64_t[kPageSize / sizeof(std::uint64_t)];

/// Takes the addresses out of a page, so that pages of processes with different layouts can be compared.
/// May be used by several threads at once.
class PointerMap {
 public:
  explicit PointerMap(std::span<const Mapping> mappings);

  /// Puts `page` into `out` with each word that points into one of the process's mappings replaced by the
  /// mapping's name and the offset in it. Of pointers into anonymous mappings only the offset in the page is
  /// kept: such mappings have no name, neighbours become one or not by accident, and allocators that align
  /// their blocks to more than a page lay them out differently where the kernel placed them differently.
  /// `bare`, unless null, gets the page with 0 for every pointer. Returns the number of pointers.
  std::size_t without_layout(const PageWords& page, PageWords& out, PageWords* bare) const;

  /// False if without_layout() would change nothing; sometimes true all the same.
  bool may_point(const PageWords& page) const;

  /// Differs in processes whose mappings lie at different places.
  std::uint64_t layout() const { return layout_; }

 private:
  enum class Base : std::uint8_t { start, end, moving };
  struct Target {
    std::uint64_t start, end, tag, base;
    Base kind;
  };

  std::size_t target_of(std::uint64_t word) const;  // targets_.size() if none
  std::size_t candidates(const PageWords& page, std::uint16_t* positions) const;

  std::vector<Target> targets_;
  std::vector<std::uint64_t> starts_;
  std::uint64_t layout_ = 0;
  // All mappings lie in two ranges: program and heap, libraries and stack.
  std::uint64_t low_start_ = 0, low_size_ = 0, high_start_ = 0, high_size_ = 0;
};

}  // namespace samepage
