#include "census/equal.hpp"

#include <algorithm>
#include <mutex>

#include "census/fingerprint.hpp"
#include "census/groups.hpp"
#include "census/likeness.hpp"

namespace samepage {
namespace {

using Members = std::span<const std::uint32_t>;

std::uint64_t fingerprint_of_zeros() {
  static const std::uint64_t value = [] {
    const PageWords zeros{};
    return fingerprint(zeros, sizeof zeros);
  }();
  return value;
}

/// Why a private page that others equal is not one with them.
PageClass reason(const PageList& list, std::size_t position, const std::vector<Subject>& subjects) {
  const PageList::Run& run = list.run_of(position);
  const Mapping& mapping = subjects[run.process].mappings()[run.mapping];
  if (list.has(position, PageList::kHuge)) return PageClass::huge_page;
  if (mapping.locked) return PageClass::pinned;
  if (mapping.mergeable)
    return subjects[run.process].pins_memory() ? PageClass::pinned : PageClass::not_scanned;
  const bool of_file = mapping.inode != 0 && !in_store(mapping);
  return of_file ? PageClass::library_data : PageClass::not_registered;
}

/// Which frames hold the content of a group, those first that will stay: the kernel's merged pages before
/// other shared ones, and these before pages of files.
std::vector<std::uint32_t> shared_frames(const PageList& list, Members members) {
  std::vector<std::uint32_t> shared;
  for (const std::uint32_t i : members)
    if (!list.is_private(i)) shared.push_back(i);
  const auto order = [&](std::uint32_t i) {
    return list.has(i, PageList::kFile) ? 2 : list.has(i, PageList::kKsm) ? 0 : 1;
  };
  std::stable_sort(shared.begin(), shared.end(), [&](std::uint32_t a, std::uint32_t b) {
    return order(a) != order(b) ? order(a) < order(b) : list.frame[a] < list.frame[b];
  });
  return shared;
}

bool all_have(const PageList& list, const std::vector<Subject>& subjects, Members members) {
  std::size_t processes = 0;
  const PageList::Run* run = nullptr;
  for (const std::uint32_t i : members) {
    const PageList::Run& next = list.run_of(i);
    processes += !run || next.process != run->process;
    run = &next;
  }
  return processes == subjects.size();
}

void judge_group(PageList& list, const std::vector<Subject>& subjects, Members members) {
  const std::vector<std::uint32_t> shared = shared_frames(list, members);
  const bool kept_merged = !shared.empty() && list.has(shared[0], PageList::kKsm);
  const bool kept_anonymous = !shared.empty() && !list.has(shared[0], PageList::kFile);
  for (std::size_t i = 1; i < shared.size(); ++i) {
    const std::uint32_t page = shared[i];
    // Anonymous pages whose frames are hidden (0) are taken for one if their contents are.
    if (list.frame[page] == list.frame[shared[0]]) continue;
    if (list.has(page, PageList::kFile)) list.set_class(page, PageClass::never_merged);
    if (kept_merged && list.has(page, PageList::kKsm)) list.set_class(page, PageClass::over_max_sharing);
    if (list.frame[page] != list.frame[shared[i - 1]]) list.set(page, PageList::kExcess);
  }
  bool one_stays = kept_anonymous, file_only = !shared.empty() && !kept_anonymous;
  // What every process has needs no comparison with what any of them has besides.
  bool first = !all_have(list, subjects, members);
  for (const std::uint32_t page : members) {
    if (!list.has(page, PageList::kFile) && first) {
      list.set(page, PageList::kFirst);
      first = false;
    }
    if (!list.is_private(page)) continue;
    list.set_class(page, file_only ? PageClass::never_merged : reason(list, page, subjects));
    if (one_stays || file_only) list.set(page, PageList::kExcess);
    one_stays = true;
    file_only = false;
  }
}

}  // namespace

void find_followers(PageList& list, unsigned threads) {
  for_each_group(
      list.frame, threads, [&](std::size_t i) { return list.frame[i] != 0; },
      [&](unsigned, Members members) {
        for (const std::uint32_t i : members.subspan(1)) list.set(i, PageList::kFollower);
      });
}

void read_contents(PageList& list, Look& look) {
  const std::uint64_t zeros = fingerprint_of_zeros();
  look.at([&](std::size_t i) { return !list.has(i, PageList::kFollower); },
          [&](unsigned, std::size_t first, std::size_t count, const PageWords* pages) {
            fingerprint_pages(pages, count, &list.content[first]);
            for (std::size_t i = first; i < first + count; ++i)
              if (list.content[i] == zeros && list.is_private(i)) {
                list.set_class(i, PageClass::zero);
                list.set(i, PageList::kExcess);
              }
          },
          [&](std::size_t i) { list.set_class(i, PageClass::unread); });
  for_each_group(
      list.frame, look.threads(), [&](std::size_t i) { return list.frame[i] != 0; },
      [&](unsigned, Members members) {
        for (const std::uint32_t i : members.subspan(1)) {
          list.content[i] = list.content[members[0]];
          if (list.class_of(members[0]) == PageClass::unread) list.set_class(i, PageClass::unread);
        }
      });
}

Contents find_equal(PageList& list, unsigned threads) {
  const std::uint64_t zeros = fingerprint_of_zeros();
  Contents found;
  bool any_zeros = false;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (list.class_of(i) == PageClass::unread) continue;
    if (list.content[i] == zeros)
      any_zeros = true;
    else
      ++found.distinct;
  }
  found.distinct += any_zeros;
  std::mutex lock;
  for_each_group(
      list.content, threads,
      [&](std::size_t i) { return list.class_of(i) != PageClass::unread && list.content[i] != zeros; },
      [&](unsigned, Members members) {
        for (const std::uint32_t i : members) list.set(i, PageList::kEqual);
        const std::lock_guard guard(lock);
        found.distinct -= members.size() - 1;
        if (members.size() > found.most_pages) {
          found.most_pages = members.size();
          found.most_position = members[0];
        }
      });
  return found;
}

void look_again(PageList& list, Look& look, const std::vector<Subject>& subjects) {
  look.at([&](std::size_t i) { return list.is_private(i) && list.class_of(i) == PageClass::unique; },
          [&](unsigned, std::size_t first, std::size_t count, const PageWords* pages) {
            const PointerMap& pointers = subjects[list.run_of(first).process].pointers();
            std::uint64_t again[Look::kAtOnce];
            fingerprint_pages(pages, count, again);
            for (std::size_t i = 0; i < count; ++i) {
              const std::size_t page = first + i;
              if (again[i] != list.content[page]) {
                list.set_class(page, PageClass::changing);
              } else if (!list.has(page, PageList::kEqual)) {
                if (!pointers.may_point(pages[i])) {
                  list.frame[page] = anchor_of(pages[i]).key;
                  continue;
                }
                PageWords without, bare;
                pointers.without_layout(pages[i], without, &bare);
                list.content[page] = fingerprint(without, sizeof without);
                list.frame[page] = anchor_of(bare).key;
              }
            }
          },
          [&](std::size_t i) { list.set_class(i, PageClass::changing); });
}

void judge_equal(PageList& list, const std::vector<Subject>& subjects, unsigned threads) {
  for_each_group(
      list.content, threads,
      [&](std::size_t i) { return list.has(i, PageList::kEqual) && list.class_of(i) != PageClass::changing; },
      [&](unsigned, Members members) { judge_group(list, subjects, members); });
}

}  // namespace samepage
