#include "linux/page_map.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "linux/system_call.hpp"

namespace samepage {
namespace {

// Bits of an entry.
constexpr std::uint64_t kFrameMask = (1ULL << 55) - 1, kAlone = 1ULL << 56, kFile = 1ULL << 61,
                        kPresent = 1ULL << 63;
constexpr std::uint64_t kSwapped = 1ULL << 62;  // or on its way to another frame

// Debian 12's headers are older than the kernel's ioctl (linux/fs.h, 6.7).
struct PageRegion {
  std::uint64_t start, end, categories;
};
struct ScanArguments {
  std::uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask,
      category_anyof_mask, return_mask;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArguments);
constexpr std::uint64_t kIsPresent = 1 << 3, kIsZeroFrame = 1 << 5, kIsHuge = 1 << 6;

constexpr std::size_t kEntriesAtOnce = 1 << 13;
constexpr std::uint64_t kMostAbsentPages = 1ULL << 28;

ResidentPage page_of(std::uint64_t address, std::uint64_t entry, bool huge) {
  return {address, entry & kFrameMask, (entry & kFile) != 0, (entry & kAlone) != 0, huge};
}

}  // namespace

PageMap PageMap::open(pid_t pid, bool& denied, const std::filesystem::path& proc) {
  PageMap map;
  const std::string path = proc / std::to_string(pid) / "pagemap";
  map.fd_ = UniqueFd(uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  denied = !map.fd_ && (errno == EACCES || errno == EPERM);
  return map;
}

bool PageMap::read_entries(std::uint64_t address, std::span<std::uint64_t> entries) const {
  const std::size_t size = entries.size_bytes();
  const ssize_t got = uninterrupted([&] {
    return pread(fd_.get(), entries.data(), size,
                 static_cast<off_t>(address / kPageSize * sizeof entries[0]));
  });
  return got == static_cast<ssize_t>(size);
}

std::optional<std::size_t> PageMap::present(std::uint64_t address, std::size_t pages) const {
  std::array<std::uint64_t, 512> entries;
  for (std::size_t done = 0; done < pages;) {
    const std::size_t count = std::min(pages - done, entries.size());
    if (!read_entries(address + done * kPageSize, std::span(entries).first(count))) return std::nullopt;
    const auto absent = std::find_if(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(count),
                                     [](std::uint64_t entry) { return !(entry & (kPresent | kSwapped)); });
    const auto here = static_cast<std::size_t>(absent - entries.begin());
    if (here < count) return done + here;
    done += count;
  }
  return pages;
}

bool PageMap::walk(const Mapping& mapping, const std::function<void(const ResidentPage&)>& visit) const {
  std::vector<std::uint64_t> entries;
  const std::uint64_t expected = mapping.rss_kb * 1024 / kPageSize;
  // Without PAGEMAP_SCAN nobody tells which pages are huge; where all are, smaps does.
  std::uint64_t found = 0, absent = 0;
  for (std::uint64_t at = mapping.start; at < mapping.end && found < expected;) {
    if (absent > kMostAbsentPages) return false;
    const std::uint64_t end = std::min(mapping.end, at + kEntriesAtOnce * kPageSize);
    entries.resize((end - at) / kPageSize);
    if (!read_entries(at, entries)) return false;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (entries[i] & kPresent) {
        visit(page_of(at + i * kPageSize, entries[i], mapping.anon_huge_kb == mapping.rss_kb));
        ++found;
      } else {
        ++absent;
      }
    }
    at = end;
  }
  return true;
}

bool PageMap::resident(const Mapping& mapping, const std::function<void(const ResidentPage&)>& visit,
                       std::uint64_t& zero_pages) const {
  std::vector<PageRegion> regions(512);
  std::vector<std::uint64_t> entries;
  for (std::uint64_t at = mapping.start; at < mapping.end;) {
    ScanArguments scan{};
    scan.size = sizeof scan;
    scan.start = at;
    scan.end = mapping.end;
    scan.vec = reinterpret_cast<std::uintptr_t>(regions.data());
    scan.vec_len = regions.size();
    scan.category_mask = kIsPresent;
    scan.return_mask = kIsPresent | kIsZeroFrame | kIsHuge;
    const int filled = uninterrupted([&] { return ioctl(fd_.get(), kPagemapScan, &scan); });
    if (filled < 0) return (errno == ENOTTY || errno == EINVAL) && walk(mapping, visit);
    for (int i = 0; i < filled; ++i) {
      const PageRegion& region = regions[static_cast<std::size_t>(i)];
      if (region.categories & kIsZeroFrame) {
        zero_pages += (region.end - region.start) / kPageSize;
        continue;
      }
      for (std::uint64_t from = region.start; from < region.end;) {
        const std::uint64_t end = std::min(region.end, from + kEntriesAtOnce * kPageSize);
        entries.resize((end - from) / kPageSize);
        if (!read_entries(from, entries)) return false;
        for (std::size_t page = 0; page < entries.size(); ++page)
          if (entries[page] & kPresent)
            visit(page_of(from + page * kPageSize, entries[page], (region.categories & kIsHuge) != 0));
        from = end;
      }
    }
    if (scan.walk_end <= at) return false;
    at = scan.walk_end;
  }
  return true;
}

}  // namespace samepage
