#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "census/sums.hpp"
#include "linux/ksm_sysfs.hpp"

namespace samepage {
namespace {

/// "612 MB", "1.9 GB": decimal units.
std::string size_text(std::uint64_t bytes) {
  const double mb = static_cast<double>(bytes) / 1e6;
  if (mb >= 999.5) return fmt::format("{:.1f} GB", mb / 1000);
  return fmt::format("{:.{}f} MB", mb, mb < 9.95 ? 1 : 0);
}

bool is_samepage_run_enough(PageClass page_class) {
  return page_class == PageClass::pointers || page_class == PageClass::few_bytes ||
         page_class == PageClass::not_registered || page_class == PageClass::huge_page ||
         page_class == PageClass::library_data || page_class == PageClass::not_scanned ||
         page_class == PageClass::zero || page_class == PageClass::shared_fork;
}

/// What samepage run's heap takes of its own in each process: bookkeeping, and its library's data. Seen in
/// small interpreters and in programs of 100 MB alike.
constexpr std::uint64_t kHeapsOwn = 400'000;

/// Less than this nobody changes anything for: of what the processes take together, and in bytes.
constexpr double kLittlePart = 0.01;
constexpr std::uint64_t kLittle = 1'000'000;

bool is_equal(PageClass page_class) {
  switch (page_class) {
    case PageClass::pointers:
    case PageClass::few_bytes:
    case PageClass::shifted:
    case PageClass::unique:
    case PageClass::changing:
    case PageClass::unread:
      return false;
    default:
      return true;
  }
}

bool has_value(KsmSetting setting, std::string_view value) {
  const KsmRead read = KsmSysfs().read(setting);
  return read.access == KsmAccess::ok && read.value == value;
}

/// Linux 6.7 passes over pages that did not merge, up to eight times in a row each; equal pages that were
/// registered some passes apart may then never be looked at in the same pass, and never merge.
std::string mend_of_not_scanned() {
  if (has_value(KsmSetting::run, "0") || has_value(KsmSetting::run, "2"))
    return "KSM is off: samepage run --ksm turns it on while they run";
  std::string mend = "wait, or set KSM's pace higher: a page is merged after it was looked at twice";
  if (has_value(KsmSetting::smart_scan, "1"))
    mend +=
        "; if they stay, set /sys/kernel/mm/ksm/smart_scan to 0: with it KSM passes over pages that did not "
        "merge, and those of different age may never meet";
  return mend;
}

/// Of what samepage run shares by itself. Where its heap is at work already, the kernel must do the rest.
std::string start_with_run(bool heap) {
  return heap ? "samepage run --ksm: the kernel merges what does not come from malloc, too"
              : "start them with samepage run, which shares what comes from malloc; with --ksm the kernel "
                "merges the rest, and samepage adopt does it while they run";
}

std::string mend_of(PageClass page_class, bool heap) {
  switch (page_class) {
    case PageClass::zero:
      return "memory that was cleared, or huge pages used in part: give it back, do not touch it before it "
             "is needed, "
             "or set /sys/kernel/mm/ksm/use_zero_pages with KSM";
    case PageClass::not_registered:
      return start_with_run(heap);
    case PageClass::not_scanned:
      return mend_of_not_scanned();
    case PageClass::huge_page:
      return start_with_run(heap) + "; KSM splits huge pages, which makes access slower";
    case PageClass::never_merged:
      return "map one file, or one shared memory, instead of copies of it: KSM takes anonymous memory alone";
    case PageClass::library_data:
      return "start them with samepage run --ksm, which registers the data of libraries too";
    case PageClass::over_max_sharing:
      return "raise /sys/kernel/mm/ksm/max_page_sharing";
    case PageClass::pinned:
      return "unlock the memory, or pin it later: what is pinned cannot be merged";
    case PageClass::pointers:
      return heap ? "give them one layout: samepage run --layout fixed, or -n N copies in one samepage run"
                  : "give them one layout: samepage run; with --ksm also of memory that does not come from "
                    "malloc";
    case PageClass::few_bytes:
      if (heap)
        return "reference counts and locks that are held now: samepage takes such pages back once they hold "
               "their old bytes again";
      return "reference counts, hash seeds, locks: samepage run gives them one hash seed, and takes back "
             "pages that hold their old bytes again";
    case PageClass::shifted:
      return heap ? "allocate the same in the same order before threads start, or load it before forking"
                  : "allocate the same in the same order before threads start, or load it before forking: "
                    "samepage run";
    case PageClass::shared_fork:
    case PageClass::shared_ksm:
    case PageClass::shared_store:
    case PageClass::shared_file:
      return "several families share a copy each: fork them from one process, or start them in one samepage "
             "run";
    default:
      return "";
  }
}

/// What the headline says about a class.
std::string short_mend(PageClass page_class, bool heap) {
  switch (page_class) {
    case PageClass::zero:
      return "give back what was cleared";
    case PageClass::never_merged:
      return "map one file instead of copies";
    case PageClass::over_max_sharing:
      return "raise KSM's max_page_sharing";
    case PageClass::pinned:
      return "pin less";
    case PageClass::library_data:
      return "start them with samepage run --ksm";
    case PageClass::not_scanned:
      return has_value(KsmSetting::run, "1") ? "wait, or set KSM's pace higher" : mend_of(page_class, heap);
    default:
      return heap ? mend_of(page_class, heap) : "start them with samepage run";
  }
}

std::string plural(std::size_t number, const std::string& one, const char* many) {
  return fmt::format("{} {}", number, number == 1 ? one : many);
}

/// "8 gunicorn workers" is more than is known; "8 gunicorn processes".
std::string whom(const Census& census) {
  std::map<std::string, std::size_t> names;
  std::size_t seen = 0;
  for (const CensusProcess& process : census.processes)
    if (process.rss) {
      ++names[process.name];
      ++seen;
    }
  if (seen == 1) return names.begin()->first;
  if (names.size() == 1) return fmt::format("{} {} processes", seen, names.begin()->first);
  return plural(seen, "process", "processes");
}

}  // namespace

void find_words(Census& census, std::size_t without_heap) {
  const bool heap = without_heap == 0;
  std::uint64_t equal = 0, reach = 0;
  for (std::size_t c = 0; c < kPageClasses; ++c) {
    const auto page_class = static_cast<PageClass>(c);
    const ClassSum& sum = census.classes[c];
    if (is_equal(page_class)) equal += sum.excess;
    if (is_samepage_run_enough(page_class)) reach += sum.excess;
    switch (page_class) {
      case PageClass::not_registered:
      case PageClass::not_scanned:
      case PageClass::huge_page:
      case PageClass::never_merged:
      case PageClass::library_data:
      case PageClass::over_max_sharing:
      case PageClass::pinned:
        census.duplicate += sum.excess;
        break;
      default:
        break;
    }
    if (sum.excess) census.findings.push_back({page_class, sum.bytes, sum.excess, mend_of(page_class, heap)});
  }
  std::stable_sort(census.findings.begin(), census.findings.end(),
                   [](const Finding& a, const Finding& b) { return a.excess > b.excess; });
  // Pages that processes elsewhere map too count in `together` by their share alone.
  census.ideal = census.together - std::min(census.together, equal);
  reach -= std::min(reach, kHeapsOwn * without_heap);
  census.within_reach = census.together - std::min(census.together, reach);

  if (census.rss == 0) {
    census.headline = "nothing could be looked at";
    return;
  }
  census.headline = fmt::format("{}: {} together", whom(census), size_text(census.together));
  std::erase_if(census.findings, [&](const Finding& finding) {
    return finding.excess < kLittle ||
           static_cast<double>(finding.excess) < kLittlePart * static_cast<double>(census.together);
  });
  if (census.findings.empty()) {
    census.headline += "; nothing that more sharing would save";
    return;
  }
  const Finding& main = census.findings[0];
  census.headline +=
      fmt::format(", {} would do; {} are {}: {}", size_text(census.within_reach), size_text(main.excess),
                  words_of(main.page_class), short_mend(main.page_class, heap));
}

}  // namespace samepage
