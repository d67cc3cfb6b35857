#include "linux/proc_text.hpp"

#include <charconv>
#include <initializer_list>

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

struct Field {
  std::string_view name;
  std::optional<std::uint64_t>* value;
};

/// Reads lines "name: value" or "name value"; what is not among `fields` is passed over.
void read_fields(std::string_view text, std::initializer_list<Field> fields) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto end_of_name = line.find_first_of(": \t");
    if (end_of_name == line.npos) continue;
    std::string_view value = line.substr(end_of_name);
    if (value.front() == ':') value.remove_prefix(1);
    for (const Field& field : fields)
      if (field.name == line.substr(0, end_of_name))
        *field.value = number<std::uint64_t>(without_leading_blanks(value));
  }
}

/// What follows `name` at the start of a line.
std::optional<std::string_view> value_of(std::string_view text, std::string_view name) {
  for (auto at = text.find(name); at != text.npos; at = text.find(name, at + 1))
    if (at == 0 || text[at - 1] == '\n') return text.substr(at + name.size());
  return std::nullopt;
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
  constexpr std::uint64_t kKernelThread = 0x00200000;  // PF_KTHREAD of the kernel's linux/sched.h
  stat.kernel_thread = (number<std::uint64_t>(field(9)).value_or(0) & kKernelThread) != 0;
  stat.start_time = *start_time;
  stat.minor_faults = number<std::uint64_t>(field(10)).value_or(0);
  stat.memory_size = number<std::uint64_t>(field(23)).value_or(0);
  stat.rss_pages = number<std::uint64_t>(field(24)).value_or(0);
  stat.start_code = number<std::uint64_t>(field(26)).value_or(0);
  stat.start_stack = number<std::uint64_t>(field(28)).value_or(0);
  return stat;
}

ProcStatus parse_proc_status(std::string_view text) {
  ProcStatus status;
  read_fields(text, {{"VmHWM", &status.vm_hwm},
                     {"VmRSS", &status.vm_rss},
                     {"RssAnon", &status.rss_anon},
                     {"RssShmem", &status.rss_shmem},
                     {"VmPTE", &status.vm_pte},
                     {"VmSwap", &status.vm_swap},
                     {"VmPin", &status.vm_pin},
                     {"Uid", &status.uid},
                     {"Tgid", &status.tgid},
                     {"TracerPid", &status.tracer_pid},
                     {"Seccomp", &status.seccomp}});
  return status;
}

std::optional<SmapsRollup> parse_smaps_rollup(std::string_view text) {
  SmapsRollup rollup;
  std::optional<std::uint64_t> rss, pss, private_clean, private_dirty, shared_clean, shared_dirty, anonymous;
  read_fields(text, {{"Rss", &rss},
                     {"Pss", &pss},
                     {"Pss_Anon", &rollup.pss_anon},
                     {"Pss_File", &rollup.pss_file},
                     {"Pss_Shmem", &rollup.pss_shmem},
                     {"Private_Clean", &private_clean},
                     {"Private_Dirty", &private_dirty},
                     {"Shared_Clean", &shared_clean},
                     {"Shared_Dirty", &shared_dirty},
                     {"Anonymous", &anonymous},
                     {"SwapPss", &rollup.swap_pss},
                     {"KSM", &rollup.ksm}});
  if (!rss || !pss) return std::nullopt;
  rollup.rss = *rss;
  rollup.pss = *pss;
  rollup.private_clean = private_clean.value_or(0);
  rollup.private_dirty = private_dirty.value_or(0);
  rollup.shared_clean = shared_clean.value_or(0);
  rollup.shared_dirty = shared_dirty.value_or(0);
  rollup.anonymous = anonymous.value_or(0);
  return rollup;
}

KsmStat parse_ksm_stat(std::string_view text) {
  KsmStat stat;
  read_fields(text, {{"ksm_rmap_items", &stat.rmap_items},
                     {"ksm_merging_pages", &stat.merging_pages},
                     {"ksm_zero_pages", &stat.zero_pages}});
  if (const auto profit = value_of(text, "ksm_process_profit "))
    stat.process_profit = number<std::int64_t>(*profit);
  if (const auto any = value_of(text, "ksm_merge_any: ")) stat.merge_any = any->starts_with("yes");
  if (const auto mergeable = value_of(text, "ksm_mergeable:"))
    stat.mergeable = without_leading_blanks(*mergeable).starts_with("yes");
  return stat;
}

MemInfo parse_meminfo(std::string_view text) {
  MemInfo info;
  read_fields(text, {{"MemTotal", &info.total},
                     {"MemAvailable", &info.available},
                     {"Shmem", &info.shmem},
                     {"AnonPages", &info.anonymous},
                     {"SwapTotal", &info.swap_total},
                     {"SwapFree", &info.swap_free}});
  return info;
}

Pressure parse_pressure(std::string_view text) {
  // "some avg10=0.12 avg60=0.00 avg300=0.00 total=123", and such a line that starts with "full".
  const auto average = [&](std::string_view who) -> std::optional<double> {
    const auto at = text.find(who);
    if (at == text.npos) return std::nullopt;
    return number<double>(text.substr(at + who.size()));
  };
  return {average("some avg10="), average("full avg10=")};
}

std::vector<std::string> parse_cgroups(std::string_view text) {
  std::vector<std::string> paths;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto second_colon = line.find(':', line.find(':') + 1);
    if (line.find(':') != line.npos && second_colon != line.npos)
      paths.emplace_back(line.substr(second_colon + 1));
  }
  return paths;
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
