#include "linux/smaps_text.hpp"

#include <algorithm>
#include <charconv>

namespace samepage {
namespace {

/// Takes a number off the front of `text`; nothing if there is none.
std::optional<std::uint64_t> take_number(std::string_view& text, int base) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

bool take(std::string_view& text, char expected) {
  if (text.empty() || text.front() != expected) return false;
  text.remove_prefix(1);
  return true;
}

void skip_blanks(std::string_view& text) {
  while (take(text, ' ')) {
  }
}

/// "55d0cb66d000-55d0cb6af000 rw-p 00000000 fe:00 320475      /usr/lib/name with blanks"
std::optional<Mapping> parse_header(std::string_view line) {
  Mapping mapping;
  const auto start = take_number(line, 16);
  if (!start || !take(line, '-')) return std::nullopt;
  const auto end = take_number(line, 16);
  if (!end || *end < *start || !take(line, ' ') || line.size() < 5 || line[4] != ' ') return std::nullopt;
  mapping.start = *start;
  mapping.end = *end;
  mapping.readable = line[0] == 'r';
  mapping.shared = line[3] == 's';
  line.remove_prefix(5);
  const auto offset = take_number(line, 16);
  if (!offset || !take(line, ' ')) return std::nullopt;
  const auto major = take_number(line, 16);
  if (!major || !take(line, ':')) return std::nullopt;
  const auto minor = take_number(line, 16);
  if (!minor || !take(line, ' ')) return std::nullopt;
  const auto inode = take_number(line, 10);
  if (!inode) return std::nullopt;
  mapping.offset = *offset;
  mapping.device = *major << 32 | (*minor & 0xffffffff);
  mapping.inode = *inode;
  skip_blanks(line);
  mapping.name = line;
  return mapping;
}

void take_flags(std::string_view words, Mapping& mapping) {
  while (!words.empty()) {
    skip_blanks(words);
    const std::string_view flag = words.substr(0, words.find(' '));
    if (flag == "mg") mapping.mergeable = true;
    if (flag == "lo") mapping.locked = true;
    if (flag == "ht") mapping.hugetlb = true;
    if (flag == "io" || flag == "pf") mapping.device_memory = true;
    words.remove_prefix(flag.size());
  }
}

void take_field(std::string_view name, std::string_view value, Mapping& mapping) {
  if (name == "VmFlags") return take_flags(value, mapping);
  skip_blanks(value);
  const auto kb = take_number(value, 10);
  if (!kb) return;
  if (name == "Rss") mapping.rss_kb = *kb;
  if (name == "Pss") mapping.pss_kb = *kb;
  if (name == "Anonymous") mapping.anonymous_kb = *kb;
  if (name == "AnonHugePages") mapping.anon_huge_kb = *kb;
  if (name == "Swap") mapping.swap_kb = *kb;
  if (name == "SwapPss") mapping.swap_pss_kb = *kb;
  if (name == "Private_Dirty") mapping.private_dirty_kb = *kb;
  if (name == "Shared_Hugetlb" || name == "Private_Hugetlb") mapping.hugetlb_kb += *kb;
  if (name == "KSM") mapping.ksm_kb = *kb;
}

}  // namespace

std::vector<Mapping> parse_smaps(std::string_view text) {
  std::vector<Mapping> mappings;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    // A field's name starts with a capital letter, a header with a lower-case hexadecimal number.
    if (!line.empty() && line.front() >= 'A' && line.front() <= 'Z') {
      const auto colon = line.find(':');
      if (colon != line.npos && !mappings.empty())
        take_field(line.substr(0, colon), line.substr(colon + 1), mappings.back());
    } else if (auto mapping = parse_header(line)) {
      mappings.push_back(std::move(*mapping));
    }
  }
  return mappings;
}

}  // namespace samepage
