/// What processes hold, what of it is the same, what is shared, and what keeps the rest apart.
/// In libsamepage-census.so; all functions may be called by several threads at once.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#if defined(__GNUC__)
#define SAMEPAGE_CENSUS_PUBLIC __attribute__((visibility("default")))
#else
#define SAMEPAGE_CENSUS_PUBLIC
#endif

namespace samepage {

/// Every page that a process has in memory is of exactly one class.
enum class PageClass : std::uint8_t {
  shared_fork,   ///< anonymous, shared with the process it was forked from or its relatives
  shared_file,   ///< of a file or of shared memory: all who map it see the one copy
  shared_ksm,    ///< merged by the kernel
  shared_store,  ///< in Samepage's store
  zero,          ///< private and full of zeros
  unique,        ///< nobody else has these bytes, nor similar ones
  changing,      ///< private, and different at the second look
  // Private, though somebody has the same bytes, because:
  not_registered,    ///< nobody asked KSM to merge it
  not_scanned,       ///< KSM was asked, but has not merged it yet
  huge_page,         ///< it lies in a huge page
  never_merged,      ///< the others are a file's or shared memory, which KSM never merges
  library_data,      ///< data of a program or library that was written to, not registered with KSM
  over_max_sharing,  ///< merged, but KSM's max_page_sharing made further copies
  pinned,            ///< locked, or of a process that pinned memory
  // Private, though somebody has almost the same bytes:
  pointers,   ///< equal once each pointer into a mapping is taken as mapping and offset
  few_bytes,  ///< equal but for a quarter of their bytes at most (and pointers)
  shifted,    ///< the same bytes at another offset in the page
  unread,     ///< could not be read, or was gone when its turn came
};
inline constexpr std::size_t kPageClasses = 18;

/// The key in JSON: "few_bytes".
SAMEPAGE_CENSUS_PUBLIC const char* name_of(PageClass page_class);
/// In words: "equal but for a few bytes".
SAMEPAGE_CENSUS_PUBLIC const char* words_of(PageClass page_class);

struct ClassSum {
  std::uint64_t bytes = 0;
  std::uint64_t excess = 0;  ///< of them, what would go if one copy served all who hold the same
};
using ClassSums = std::array<ClassSum, kPageClasses>;

/// Addresses of a process; `end` is the first byte behind.
struct CensusRange {
  std::uint64_t start = 0, end = 0;
  std::uint64_t bytes = 0;  ///< of them in private pages that have a twin, or are full of zeros
};

struct CensusProcess {
  pid_t pid = 0;
  std::string name;     ///< as in ps
  std::string command;  ///< its command line, words joined by blanks
  /// Bytes. rss is the sum of `classes`; pss, swapped and hugetlb are the kernel's own figures.
  std::uint64_t rss = 0, pss = 0, private_bytes = 0, swapped = 0, huge = 0, hugetlb = 0;
  ClassSums classes{};
  std::vector<CensusRange> worth;  ///< what is not registered with KSM and would be worth it, by address
  std::string trouble;             ///< why its figures are missing or incomplete; empty if they are whole
};

/// Mappings of one name, over all processes; anonymous memory has the name "anonymous".
struct CensusMapping {
  std::string name;
  std::uint64_t rss = 0;
  ClassSums classes{};
};

/// What the pages that differ in few bytes differ in.
struct FewBytes {
  std::uint64_t pages = 0, with_pointers = 0;  ///< compared; of them those that differ in pointers too
  double mean = 0;                             ///< bytes that differ
  std::uint64_t most = 0;
  /// How many differing bytes lie at each offset modulo 64; objects have their reference counts at few of
  /// them.
  std::array<std::uint64_t, 64> offsets{};
};

/// What keeps memory apart and what to do about it, most bytes first.
struct Finding {
  PageClass page_class;
  std::uint64_t bytes = 0, excess = 0;
  std::string mend;
};

struct Census {
  std::vector<CensusProcess> processes;
  ClassSums classes{};
  std::vector<CensusMapping> mappings;  ///< most bytes first
  /// Why memory that could be one is not, most excess first; what is less than 1 MB or 1 % is left out.
  std::vector<Finding> findings;

  /// Bytes. `together` is what the machine holds, the sum of PSS and swapped PSS; `ideal` is what it would
  /// with one copy of each page content; `within_reach` with one layout and reference counts that came back
  /// as well.
  std::uint64_t rss = 0, together = 0, ideal = 0, within_reach = 0;
  std::uint64_t contents = 0;     ///< distinct page contents
  std::uint64_t duplicate = 0;    ///< bytes: equal copies beyond the first that are not shared
  std::uint64_t zero_mapped = 0;  ///< bytes: the kernel's zero page, which RSS does not count
  struct {
    std::uint64_t pages = 0;
    pid_t pid = 0;
    std::uint64_t address = 0;
  } seen_most;  ///< the content, zeros apart, that most pages hold, and where one of them lies
  FewBytes few_bytes;

  double sampled = 1;                  ///< part of the pages that was looked at; bytes are scaled up by it
  std::optional<std::uint64_t> error;  ///< with a sample: standard error of what all `excess` sum up to
  std::vector<std::string> troubles;   ///< what was not seen, a line each; empty: all of it was
  double seconds = 0;
  std::uint64_t bytes_read = 0;
  std::string headline;  ///< the answer in words
};

struct CensusOptions {
  double sample = 1;                ///< part of the pages to look at, in (0, 1]
  unsigned threads = 0;             ///< 0: one per processor
  double pause = 0.2;               ///< at least so many seconds between the two looks at a page
  std::function<bool()> cancelled;  ///< asked now and then; true ends the census early with a trouble
};

/// Looks at processes, which run on meanwhile. Of each one that has gone or may not be looked at, `trouble`
/// says so, and the rest is answered. Needs no privilege for one's own processes. Uses at most 24 bytes per
/// page that they hold. Throws std::invalid_argument for options out of range.
SAMEPAGE_CENSUS_PUBLIC Census take_census(const std::vector<pid_t>& pids, const CensusOptions& options = {});

}  // namespace samepage
