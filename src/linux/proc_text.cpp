#include "linux/proc_text.hpp"

#include <charconv>

namespace samepage {
namespace {

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

std::string_view without_leading_blanks(std::string_view text) {
  const auto start = text.find_first_not_of(" \t");
  return start == text.npos ? std::string_view{} : text.substr(start);
}

/// Calls `field(name, value)` for each line "name: value" or "name value".
template <typename Field>
void for_each_field(std::string_view text, Field field) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto end_of_name = line.find_first_of(": \t");
    if (end_of_name == line.npos) continue;
    std::string_view value = line.substr(end_of_name);
    if (value.front() == ':') value.remove_prefix(1);
    field(line.substr(0, end_of_name), number<std::uint64_t>(without_leading_blanks(value)));
  }
}

}  // namespace

std::optional<ProcStat> parse_proc_stat(std::string_view text) {
  const auto open = text.find('('), close = text.rfind(')');
  if (open == text.npos || close == text.npos || close < open) return std::nullopt;
  ProcStat stat;
  const auto pid = number<pid_t>(text);
  if (!pid) return std::nullopt;
  stat.pid = *pid;
  stat.comm = text.substr(open + 1, close - open - 1);

  // The fields after the name, of which `state` is the third by proc_pid_stat(5)'s count.
  std::vector<std::string_view> fields;
  for (std::string_view rest = without_leading_blanks(text.substr(close + 1)); !rest.empty();) {
    fields.push_back(rest.substr(0, rest.find_first_of(" \n")));
    rest.remove_prefix(std::min(fields.back().size() + 1, rest.size()));
  }
  const auto field = [&](std::size_t position) {
    return position - 3 < fields.size() ? fields[position - 3] : std::string_view{};
  };
  const auto ppid = number<pid_t>(field(4));
  const auto start_time = number<std::uint64_t>(field(22));
  if (field(3).size() != 1 || !ppid || !start_time) return std::nullopt;
  stat.state = field(3)[0];
  stat.ppid = *ppid;
  stat.start_time = *start_time;
  stat.rss_pages = number<std::uint64_t>(field(24)).value_or(0);
  stat.start_code = number<std::uint64_t>(field(26)).value_or(0);
  stat.start_stack = number<std::uint64_t>(field(28)).value_or(0);
  return stat;
}

ProcStatus parse_proc_status(std::string_view text) {
  ProcStatus status;
  for_each_field(text, [&](std::string_view name, std::optional<std::uint64_t> value) {
    if (name == "VmHWM") status.vm_hwm = value;
    if (name == "VmRSS") status.vm_rss = value;
    if (name == "RssAnon") status.rss_anon = value;
    if (name == "RssShmem") status.rss_shmem = value;
    if (name == "VmPTE") status.vm_pte = value;
    if (name == "VmSwap") status.vm_swap = value;
  });
  return status;
}

std::optional<SmapsRollup> parse_smaps_rollup(std::string_view text) {
  SmapsRollup rollup;
  std::optional<std::uint64_t> rss, pss;
  for_each_field(text, [&](std::string_view name, std::optional<std::uint64_t> value) {
    if (name == "Rss") rss = value;
    if (name == "Pss") pss = value;
    if (name == "Pss_Anon") rollup.pss_anon = value;
    if (name == "Pss_File") rollup.pss_file = value;
    if (name == "Pss_Shmem") rollup.pss_shmem = value;
    if (name == "Private_Clean") rollup.private_clean = value.value_or(0);
    if (name == "Private_Dirty") rollup.private_dirty = value.value_or(0);
    if (name == "Shared_Clean") rollup.shared_clean = value.value_or(0);
    if (name == "Shared_Dirty") rollup.shared_dirty = value.value_or(0);
    if (name == "Anonymous") rollup.anonymous = value.value_or(0);
    if (name == "SwapPss") rollup.swap_pss = value;
    if (name == "KSM") rollup.ksm = value;
  });
  if (!rss || !pss) return std::nullopt;
  rollup.rss = *rss;
  rollup.pss = *pss;
  return rollup;
}

KsmStat parse_ksm_stat(std::string_view text) {
  KsmStat stat;
  for_each_field(text, [&](std::string_view name, std::optional<std::uint64_t> value) {
    if (name == "ksm_rmap_items") stat.rmap_items = value;
    if (name == "ksm_merging_pages") stat.merging_pages = value;
  });
  return stat;
}

std::vector<std::string> parse_strings(std::string_view text) {
  std::vector<std::string> strings;
  while (!text.empty()) {
    strings.emplace_back(text.substr(0, text.find('\0')));
    text.remove_prefix(std::min(strings.back().size() + 1, text.size()));
  }
  return strings;
}

}  // namespace samepage
