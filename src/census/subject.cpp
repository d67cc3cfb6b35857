#include "census/subject.hpp"

#include <algorithm>
#include <map>

#include "census/fingerprint.hpp"

namespace samepage {
namespace {

constexpr std::uint64_t kBlockPages = 64;
/// Pages of a mapping beyond those that smaps counted: it grows, and before Linux 6.7 pages of zeros, which
/// RSS does not count, are listed too, PageMap's portion of page table entries at most.
constexpr std::uint64_t kMayGrow = 1 << 13;
constexpr std::uint64_t kEndOfUserMemory = 1ULL << 56;  // above is [vsyscall], which is in no page table

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  const std::uint64_t both[2] = {a, b};
  return fingerprint(both, sizeof both);
}

std::string joined(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

}  // namespace

bool in_store(const Mapping& mapping) {
  return mapping.name.starts_with("/memfd:samepage");
}

bool Sample::takes(std::uint64_t place, std::uint64_t page_in_mapping) const {
  if (part_ >= 1) return true;
  return static_cast<double>(mixed(place, page_in_mapping / kBlockPages) >> 11) < part_ * 0x1p53;
}

std::size_t Sample::subset(std::uint64_t place, std::uint64_t page_in_mapping) {
  return mixed(~place, page_in_mapping / kBlockPages) % kSubsets;
}

Subject::Subject(pid_t pid, CensusProcess& told) : pid_(pid) {
  const auto stat = proc_.stat(pid);
  if (!stat) {
    told.trouble = "no such process";
    return;
  }
  stat_ = *stat;
  told.name = stat->comm;
  if (const auto words = proc_.cmdline(pid)) told.command = joined(*words);
  if (stat->state == 'Z' || stat->state == 'X') {
    told.trouble = "is a zombie: it has ended, and holds no memory";
    return;
  }
  const auto status = proc_.status(pid);
  if (status && !status->vm_rss) {
    told.trouble = "is a kernel thread: it has no memory of its own";
    return;
  }
  pins_memory_ = status && status->vm_pin.value_or(0) > 0;
  auto memory = std::make_unique<ProcessMemory>(pid);
  auto smaps = proc_.smaps(pid);
  if (memory->denied() || smaps.denied) {
    told.trouble = "may not be looked at: it is another user's, or protects itself; try as root";
    return;
  }
  if (!*memory || !memory->page_map() || !smaps) {
    told.trouble = "ended while it was looked at";
    return;
  }
  mappings_ = std::move(*smaps.value);
  std::map<std::string, std::uint64_t> seen;
  for (const Mapping& mapping : mappings_) {
    places_.push_back(mixed(fingerprint(mapping.name.data(), mapping.name.size()), seen[mapping.name]++));
    told.pss += mapping.pss_kb * 1024;
    told.swapped += mapping.swap_kb * 1024;
    swapped_pss_ += mapping.swap_pss_kb * 1024;
    told.hugetlb += mapping.hugetlb_kb * 1024;
  }
  memory_ = std::move(memory);
  pointers_ = std::make_unique<PointerMap>(mappings_);
}

bool Subject::has_heap() const {
  return std::any_of(mappings_.begin(), mappings_.end(),
                     [](const Mapping& mapping) { return mapping.name.ends_with("/libsamepage-heap.so"); });
}

std::size_t Subject::room(const Sample& sample) const {
  std::uint64_t pages = 0;
  for (const Mapping& mapping : mappings_)
    pages +=
        std::min((mapping.end - mapping.start) / kPageSize, mapping.rss_kb * 1024 / kPageSize + kMayGrow);
  // Of a sample blocks are taken or left out, so that it may be somewhat larger than its part.
  return sample.part() < 1
             ? static_cast<std::size_t>(static_cast<double>(pages) * sample.part() * 1.25) + 4096
             : pages;
}

void Subject::list_pages(const Sample& sample, const KernelPages& kernel, PageList::Part& pages,
                         CensusProcess& told) {
  bool readable = true, room = true;
  std::uint64_t huge = 0;
  for (std::uint32_t number = 0; number < mappings_.size(); ++number) {
    const Mapping& mapping = mappings_[number];
    if (mapping.hugetlb || mapping.device_memory || mapping.start >= kEndOfUserMemory) continue;
    const bool store = in_store(mapping);
    std::uint64_t merged_left = mapping.ksm_kb.value_or(0) * 1024 / kPageSize;
    const bool may_be_merged = !mapping.ksm_kb || *mapping.ksm_kb > 0;
    const auto visit = [&](const ResidentPage& page) {
      ++resident_pages_;
      huge += page.huge;
      if (!sample.takes(places_[number], (page.address - mapping.start) / kPageSize)) return;
      ++listed_;
      std::uint16_t facts = 0;
      std::uint64_t frame = page.frame;
      auto page_class = PageClass::unique;
      if (page.file) {
        facts |= PageList::kFile;
        page_class = store ? PageClass::shared_store : PageClass::shared_file;
        if (frame == 0) {
          const std::uint64_t in_file = page.address - mapping.start + mapping.offset;
          frame = mixed(mixed(mapping.device, mapping.inode), in_file) | 1;
        }
      } else if (!page.alone || may_be_merged) {
        // Where frames are hidden, smaps tells how many pages of the mapping are merged, though not which.
        const auto merged = may_be_merged ? kernel.merged(page.frame) : std::optional(false);
        const bool is_merged = merged.value_or(!page.alone && merged_left > 0);
        if (is_merged) {
          facts |= PageList::kKsm;
          if (merged_left) --merged_left;
        }
        if (is_merged || !page.alone) page_class = is_merged ? PageClass::shared_ksm : PageClass::shared_fork;
      }
      if (page_class == PageClass::unique) {
        facts |= PageList::kAlone;
        frame = 0;
      }
      if (page.huge) facts |= PageList::kHuge;
      room = pages.add(number, page.address, frame, facts, page_class) && room;
    };
    readable = memory_->page_map().resident(mapping, visit, zero_pages_) && readable;
  }
  told.huge = huge * kPageSize;
  if (!readable)
    told.trouble = "some of its page tables could not be read";
  else if (!room)
    told.trouble = "grew so fast while it was looked at that some of its pages are left out";
}

bool Subject::still_there() const {
  const auto now = proc_.stat(pid_);
  return now && now->start_time == stat_.start_time && now->state != 'Z' &&
         now->start_code == stat_.start_code && now->start_stack == stat_.start_stack;
}

}  // namespace samepage
