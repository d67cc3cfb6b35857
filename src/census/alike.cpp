#include "census/alike.hpp"

#include <algorithm>
#include <cstring>
#include <map>

#include "census/fingerprint.hpp"
#include "census/groups.hpp"
#include "census/likeness.hpp"
#include "census/read_ahead.hpp"

namespace samepage {
namespace {

using Members = std::span<const std::uint32_t>;

// Where a shifted page's bytes are found: process and address in one word.
constexpr int kAddressBits = 48;
constexpr std::uint64_t target_of(std::uint32_t process, std::uint64_t address) {
  return std::uint64_t{process} << kAddressBits | address;
}
constexpr std::uint32_t process_in(std::uint64_t target) {
  return static_cast<std::uint32_t>(target >> kAddressBits);
}
constexpr std::uint64_t address_in(std::uint64_t target) {
  return target & ((1ULL << kAddressBits) - 1);
}

/// Pages whose keys differ in so many low bits alone are compared by one thread, in their order.
constexpr int kBlockBits = 18;

/// A quarter of a page.
constexpr std::size_t kMostDiffering = kPageSize / 4;

/// In how many bytes pages may differ to be called alike: a quarter of what is in them, and a counter or two
/// in pages that are nearly empty.
std::size_t few_of(const PageWords& one, const PageWords& other) {
  static const PageWords zeros{};
  const std::size_t filled = std::min(differing_bytes(one, zeros), differing_bytes(other, zeros));
  return std::max<std::size_t>(16, filled / 4);
}

}  // namespace

/// A page's bytes, and the same without layout.
struct Alike::Page {
  std::size_t position = 0;
  std::uint32_t process = 0;
  std::uint64_t address = 0;
  const PageWords* bytes = nullptr;  // in `copy`, or read ahead and gone with the next page that is loaded
  PageWords copy;
  mutable PageWords without_layout;  // filled when it is needed
};

/// Those pages of a group that the others are compared with: few, which differ from each other. The next page
/// is loaded into a place where it can stay.
class Alike::Leaders {
 public:
  Leaders() : pages_(kMost + 1) {}

  void clear() { size_ = 0; }
  bool full() const { return size_ == kMost; }
  Page& next() { return pages_[size_]; }
  void keep_next() {
    Page& page = pages_[size_++];
    if (page.bytes != &page.copy) std::memcpy(page.copy, *page.bytes, sizeof page.copy);
    page.bytes = &page.copy;
  }
  std::span<const Page> all() const { return {pages_.data(), size_}; }

 private:
  static constexpr std::size_t kMost = 4;
  std::vector<Page> pages_;
  std::size_t size_ = 0;
};

bool Alike::compared(std::size_t i) const {
  if (list_.has(i, PageList::kFile)) return false;
  if (list_.has(i, PageList::kFirst)) return true;
  switch (list_.class_of(i)) {
    case PageClass::unique:
    case PageClass::pointers:
    case PageClass::few_bytes:
      return true;
    case PageClass::shared_fork:
    case PageClass::shared_ksm:
      return !list_.has(i, PageList::kEqual | PageList::kFollower);
    default:
      return false;
  }
}

bool Alike::any_unexplained() const {
  for (std::size_t i = 0; i < list_.size(); ++i)
    if (unexplained(i)) return true;
  return false;
}

bool Alike::any_other_layout() const {
  return std::any_of(subjects_.begin(), subjects_.end(), [&](const Subject& subject) {
    return subject.pointers().layout() != subjects_[0].pointers().layout();
  });
}

void Alike::judge() {
  if (subjects_.size() < 2 || !any_unexplained()) return;
  prepare_others();
  const auto go_on = [&] { return !look_.cancelled() && any_unexplained(); };
  if (go_on()) judge_pointers();
  if (go_on()) judge_few_bytes([&](const PageList::Run&, std::uint64_t address) { return address; });
  if (go_on() && any_other_layout())
    judge_few_bytes([&](const PageList::Run& run, std::uint64_t address) {
      const Mapping& mapping = subjects_[run.process].mappings()[run.mapping];
      const bool grows_down = mapping.name == "[stack]";
      const std::uint64_t place = subjects_[run.process].place_of(run.mapping);
      return place + (grows_down ? mapping.end - address : address - mapping.start);
    });
  if (go_on()) judge_shifted();
}

void Alike::prepare_others() {
  look_.at(
      [&](std::size_t i) { return compared(i) && (list_.has(i, PageList::kEqual) || !list_.is_private(i)); },
      [&](unsigned, std::size_t first, std::size_t count, const PageWords* pages) {
        const PointerMap& pointers = subjects_[process_of(first)].pointers();
        for (std::size_t i = 0; i < count; ++i) {
          PageWords without, bare;
          pointers.without_layout(pages[i], without, &bare);
          list_.content[first + i] = fingerprint(without, sizeof without);
          list_.frame[first + i] = anchor_of(bare).key;
        }
      },
      [&](std::size_t i) { list_.frame[i] = 0; });
}

void Alike::judge_pointers() {
  for_each_group(
      list_.content, look_.threads(), [&](std::size_t i) { return compared(i); },
      [&](unsigned, Members members) {
        // One layout makes pages of different processes equal, not those of one process: of the process that
        // has most of them, all would stay.
        std::map<std::uint32_t, std::size_t> counts;
        for (const std::uint32_t i : members) ++counts[process_of(i)];
        if (counts.size() < 2) return;
        const auto most = std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) {
                            return a.second < b.second;
                          })->first;
        for (const std::uint32_t i : members) {
          const bool stays = process_of(i) == most;
          if (!stays) list_.set(i, PageList::kExcess);
          if (unexplained(i) || (!stays && list_.is_private(i))) list_.set_class(i, PageClass::pointers);
        }
      });
}

template <typename Key>
void Alike::judge_few_bytes(Key key) {
  for (const PageList::Run& run : list_.runs())
    for (std::uint32_t i = 0; i < run.pages; ++i)
      list_.content[run.first + i] = key(run, run.address + i * kPageSize);
  std::vector<ReadAhead> aheads;
  for (unsigned i = 0; i < look_.threads(); ++i) aheads.emplace_back(subjects_.size());
  std::vector<Leaders> leaders_of(look_.threads());
  for_each_group(
      list_.content, look_.threads(), [&](std::size_t i) { return compared(i); },
      [&](unsigned thread, Members members) {
        if (look_.cancelled() ||
            std::none_of(members.begin(), members.end(), [&](auto i) { return unexplained(i); }))
          return;
        ReadAhead& ahead = aheads[thread];
        Leaders& leaders = leaders_of[thread];
        leaders.clear();
        const auto judge_one = [&](std::uint32_t i) {
          Page& page = leaders.next();
          if (!load_ahead(ahead, i, page)) return;
          for (const Page& leader : leaders.all()) {
            if (!differs_in_few_bytes(page, leader)) continue;
            if (unexplained(leader.position)) list_.set_class(leader.position, PageClass::few_bytes);
            list_.set_class(i, PageClass::few_bytes);
            list_.set(i, PageList::kExcess);
            return;
          }
          if (!leaders.full()) leaders.keep_next();
        };
        // A page that is the same in several processes already is the better one to compare with.
        std::size_t explained = 0;
        for (const std::uint32_t i : members)
          if (!unexplained(i) && explained < 2 && load_ahead(ahead, i, leaders.next())) {
            leaders.keep_next();
            ++explained;
          }
        for (const std::uint32_t i : members)
          if (unexplained(i)) judge_one(i);
      },
      kBlockBits);
}

void Alike::judge_shifted() {
  std::vector<Leaders> leaders_of(look_.threads());
  for_each_group(
      list_.frame, look_.threads(), [&](std::size_t i) { return list_.frame[i] != 0 && compared(i); },
      [&](unsigned thread, Members members) {
        if (look_.cancelled() ||
            std::none_of(members.begin(), members.end(), [&](auto i) { return unexplained(i); }))
          return;
        Leaders& leaders = leaders_of[thread];
        leaders.clear();
        for (const std::uint32_t i : members) {
          const bool open = unexplained(i);
          Page& page = leaders.next();
          if ((!open && leaders.full()) || !load(i, page)) continue;
          const std::size_t anchor = anchor_in(page);
          bool found = false;
          for (const Page& leader : leaders.all()) {
            if (!open || leader.process == page.process) continue;
            const std::uint64_t address = leader.address + anchor_in(leader) - anchor;
            if (address == leader.address) {
              found = differs_in_few_bytes(page, leader);
              if (!found) continue;
              if (unexplained(leader.position)) list_.set_class(leader.position, PageClass::few_bytes);
              list_.set_class(i, PageClass::few_bytes);
              list_.set(i, PageList::kExcess);
            } else {
              found = is_shift_of(page, leader.process, address);
              if (!found) continue;
              mark_shifted(i, leader.process, address);
            }
            break;
          }
          if (!found && !leaders.full()) leaders.keep_next();
        }
      });
  follow_shifts();
  mark_sources_of_shifts();
}

void Alike::follow_shifts() {
  for (const PageList::Run& run : list_.runs()) {
    for (std::size_t i = run.first + 1; i < run.first + run.pages; ++i)
      if (unexplained(i)) follow(i, i - 1);
    for (std::size_t i = run.first + run.pages - 1; i-- > run.first;)
      if (unexplained(i)) follow(i, i + 1);
  }
}

void Alike::follow(std::size_t position, std::size_t neighbour) {
  if (list_.class_of(neighbour) != PageClass::shifted) return;
  const std::uint32_t process = process_in(list_.frame[neighbour]);
  const std::uint64_t address = address_in(list_.frame[neighbour]) + (position - neighbour) * kPageSize;
  Page page;
  if (load(position, page) && is_shift_of(page, process, address)) mark_shifted(position, process, address);
}

void Alike::mark_shifted(std::size_t position, std::uint32_t process, std::uint64_t address) {
  list_.set_class(position, PageClass::shifted);
  list_.set(position, PageList::kExcess);
  list_.frame[position] = target_of(process, address);
}

void Alike::mark_sources_of_shifts() {
  for (std::size_t i = 0; i < list_.size(); ++i) {
    if (list_.class_of(i) != PageClass::shifted || !list_.has(i, PageList::kExcess)) continue;
    const std::uint64_t address = address_in(list_.frame[i]);
    for (const std::uint64_t at : {address, address + kPageSize - 1}) {
      const std::size_t source = list_.find(process_in(list_.frame[i]), at);
      if (source != list_.size() && unexplained(source)) list_.set_class(source, PageClass::shifted);
    }
  }
}

std::size_t Alike::anchor_in(const Page& page) const {
  PageWords bare;
  subjects_[page.process].pointers().without_layout(*page.bytes, page.without_layout, &bare);
  return anchor_of(bare).offset;
}

bool Alike::load(std::size_t position, Page& page) const {
  const PageList::Run& run = list_.run_of(position);
  page.position = position;
  return load_at(run.process, run.address + (position - run.first) * kPageSize, page,
                 list_.is_private(position) ? ProcessMemory::Pages::alone : ProcessMemory::Pages::shared);
}

bool Alike::load_ahead(ReadAhead& ahead, std::size_t position, Page& page) const {
  // Pages of other blocks are other threads' affair.
  const PageWords* bytes = ahead.load(list_, look_, subjects_, position, [&](std::size_t i) {
    return (list_.content[i] ^ list_.content[position]) >> kBlockBits == 0 && compared(i);
  });
  if (!bytes) return false;
  const PageList::Run& run = list_.run_of(position);
  page.position = position;
  page.process = run.process;
  page.address = run.address + (position - run.first) * kPageSize;
  page.bytes = bytes;
  return true;
}

bool Alike::load_at(std::uint32_t process, std::uint64_t address, Page& page,
                    ProcessMemory::Pages pages) const {
  page.process = process;
  page.bytes = &page.copy;
  page.address = address;
  look_.add_bytes_read(kPageSize);
  return subjects_[process].memory().read(address, page.copy, kPageSize, pages) == kPageSize;
}

bool Alike::differs_in_few_bytes(const Page& one, const Page& other) {
  if (one.process == other.process) return false;
  const std::size_t as_is = differing_bytes(*one.bytes, *other.bytes, kMostDiffering);
  const std::size_t without = differing_without_layout(one, other, as_is);
  const std::size_t differing = std::min(as_is, without);
  if (differing > kMostDiffering || differing > few_of(*one.bytes, *other.bytes)) return false;
  const std::lock_guard lock(few_bytes_lock_);
  ++few_bytes_.pages;
  few_bytes_.with_pointers += without < as_is;
  few_bytes_sum_ += differing;
  few_bytes_.most = std::max<std::uint64_t>(few_bytes_.most, differing);
  const auto* a = reinterpret_cast<const unsigned char*>(without < as_is ? one.without_layout : *one.bytes);
  const auto* b =
      reinterpret_cast<const unsigned char*>(without < as_is ? other.without_layout : *other.bytes);
  for (std::size_t i = 0; i < kPageSize; ++i)
    if (a[i] != b[i]) ++few_bytes_.offsets[i % few_bytes_.offsets.size()];
  return true;
}

std::size_t Alike::differing_without_layout(const Page& one, const Page& other, std::size_t as_is) const {
  const PointerMap &ours = subjects_[one.process].pointers(), &theirs = subjects_[other.process].pointers();
  if (as_is == 0 || ours.layout() == theirs.layout()) return as_is;
  ours.without_layout(*one.bytes, one.without_layout, nullptr);
  theirs.without_layout(*other.bytes, other.without_layout, nullptr);
  return differing_bytes(one.without_layout, other.without_layout, kMostDiffering);
}

bool Alike::is_shift_of(const Page& page, std::uint32_t process, std::uint64_t address) const {
  if (list_.find(process, address) == list_.size() ||
      list_.find(process, address + kPageSize - 1) == list_.size())
    return false;
  Page other;
  // As shared pages: they may be.
  if (!load_at(process, address, other, ProcessMemory::Pages::shared)) return false;
  const std::size_t as_is = differing_bytes(*page.bytes, *other.bytes, kMostDiffering);
  const std::size_t differing = std::min(as_is, differing_without_layout(page, other, as_is));
  return differing <= kMostDiffering && differing <= few_of(*page.bytes, *other.bytes);
}

FewBytes Alike::few_bytes() const {
  FewBytes told = few_bytes_;
  if (told.pages) told.mean = static_cast<double>(few_bytes_sum_) / static_cast<double>(told.pages);
  return told;
}

}  // namespace samepage
