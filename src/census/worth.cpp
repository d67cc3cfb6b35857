#include "census/worth.hpp"

#include <algorithm>

namespace samepage {
namespace {

// Registration splits mappings, of which a process may have 65530, and ksmd looks at every page of what is
// registered: so blocks of the size of a huge page, of whose pages an eighth has a twin; near ones are
// joined.
constexpr std::uint64_t kBlock = 2 << 20, kNear = 2 * kBlock, kWorthPart = 8;

/// Private, and equal to another page or full of zeros, and nobody has registered it.
bool is_worth(PageClass page_class) {
  switch (page_class) {
    case PageClass::zero:
    case PageClass::not_registered:
    case PageClass::huge_page:
    case PageClass::library_data:
      return true;
    default:
      return false;
  }
}

class Blocks {
 public:
  Blocks(CensusProcess& process, double scale) : process_(process), scale_(scale) {}
  ~Blocks() { end_block(); }

  void add(const Mapping& mapping, std::uint64_t address, bool worth) {
    if (&mapping != mapping_ || address / kBlock != block_) {
      end_block();
      mapping_ = &mapping;
      block_ = address / kBlock;
    }
    ++pages_;
    worth_ += worth;
  }

 private:
  void end_block() {
    if (worth_ * kWorthPart > pages_) {
      const std::uint64_t start = std::max(mapping_->start, block_ * kBlock),
                          end = std::min(mapping_->end, (block_ + 1) * kBlock);
      const auto bytes = static_cast<std::uint64_t>(static_cast<double>(worth_ * kPageSize) * scale_);
      std::vector<CensusRange>& ranges = process_.worth;
      const bool near = !ranges.empty() && (ranges.back().end == start ||
                                            (last_ == mapping_ && start - ranges.back().end <= kNear));
      if (near) {
        ranges.back().end = end;
        ranges.back().bytes += bytes;
      } else {
        ranges.push_back({start, end, bytes});
      }
      last_ = mapping_;
    }
    pages_ = worth_ = 0;
  }

  CensusProcess& process_;
  double scale_;
  const Mapping *mapping_ = nullptr, *last_ = nullptr;
  std::uint64_t block_ = 0, pages_ = 0, worth_ = 0;
};

}  // namespace

void find_worth(const PageList& list, const std::vector<Subject>& subjects,
                const std::vector<std::size_t>& told_at, Census& census) {
  auto run = list.runs().begin();
  for (std::uint32_t i = 0; i < subjects.size(); ++i) {
    Blocks blocks(census.processes[told_at[i]], subjects[i].scale());
    for (; run != list.runs().end() && run->process == i; ++run) {
      const Mapping& mapping = subjects[i].mappings()[run->mapping];
      if (mapping.mergeable || mapping.shared || mapping.locked) continue;
      for (std::uint32_t page = 0; page < run->pages; ++page)
        blocks.add(mapping, run->address + page * kPageSize, is_worth(list.class_of(run->first + page)));
    }
  }
}

}  // namespace samepage
