#include "report/ksm_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/human_size.hpp"
#include "report/text_table.hpp"

namespace samepage {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostProcesses = 20;

std::string size_of(std::optional<std::uint64_t> bytes) {
  return !bytes ? "?" : *bytes ? human_size(*bytes / 1024) : "-";
}

std::string setting(const KsmOverview& overview, const std::string& name) {
  for (const auto& [key, value] : overview.settings)
    if (key == name) return value;
  return "";
}

std::string stuck_line(const std::string& where) {
  std::string line = "ksmd stands still: it has waited a second ";
  line += where.empty() ? "in the kernel" : "in the kernel's " + where;
  if (where == "lru_add_drain_all")
    line += ", for a worker on every processor; a program that keeps a processor busy holds that up";
  return line + "\n";
}

std::string state_line(const KsmOverview& overview) {
  const std::string run = setting(overview, "run");
  std::string line = run == "1"   ? "KSM is on"
                     : run == "2" ? "KSM is off, and everything was un-merged (run is 2)"
                     : run == "0" ? "KSM is off; what was merged stays merged"
                                  : "KSM's state may not be read";
  if (overview.scan_rate)
    line += fmt::format(": {} pages every {} ms, at most {}/s", setting(overview, "pages_to_scan"),
                        setting(overview, "sleep_millisecs"), human_size(*overview.scan_rate / 1024));
  if (setting(overview, "advisor_mode") == "scan-time") line += ", set by the kernel's advisor";
  line += "\n";
  const std::string smart_scan = setting(overview, "smart_scan");
  if (smart_scan == "1")
    line +=
        "Smart scan is on: a page that did not merge is passed over for up to 8 passes, and may meet "
        "its twin late.\n";
  else if (smart_scan == "0")
    line += "Smart scan is off: each pass looks at every page.\n";
  if (overview.stuck_in) line += stuck_line(*overview.stuck_in);
  for (const pid_t holder : overview.holders)
    line += fmt::format("Process {} has it work fast just now, and puts the settings back.\n", holder);
  return line;
}

std::string meaning_lines(const KsmOverview& overview) {
  const KsmCounters& counters = overview.counters;
  std::string lines = fmt::format("saved {}, bookkeeping {}, profit {}\n", size_of(overview.saved),
                                  size_of(overview.overhead),
                                  overview.profit ? signed_human_size(*overview.profit / 1024) : "?");
  if (overview.looked_at) {
    lines += fmt::format("{} known to ksmd", human_size(*overview.looked_at / 1024));
    if (overview.merged_part) lines += fmt::format(", {:.0f} % of it merged", *overview.merged_part * 100);
    const auto part = [&](std::optional<std::uint64_t> pages) { return human_size(pages.value_or(0) * 4); };
    lines +=
        fmt::format("; {} unique, {} changing", part(counters.pages_unshared), part(counters.pages_volatile));
    if (overview.coverage)
      lines += fmt::format("; {:.0f} % of the registered processes' memory", *overview.coverage * 100);
    lines += "\n";
  }
  if (counters.full_scans) {
    lines += fmt::format("{} passes", *counters.full_scans);
    if (overview.pass_seconds.value_or(0) >= 0.05)
      lines += fmt::format("; one takes at least {:.1f} s at this pace, and a page is merged by the second",
                           *overview.pass_seconds);
    lines += "\n";
  }
  return lines;
}

std::string processes_table(const KsmOverview& overview) {
  TextTable table({"pid", "process", "profit", "merged", "zero", "looked at", "anonymous", "whole"},
                  {Align::right, Align::left, Align::right, Align::right, Align::right, Align::right,
                   Align::right, Align::left});
  const std::size_t shown = std::min(overview.processes.size(), kMostProcesses);
  for (std::size_t i = 0; i < shown; ++i) {
    const KsmProcess& process = overview.processes[i];
    table.add({std::to_string(process.pid), process.name, signed_human_size(process.profit / 1024),
               size_of(process.merged), size_of(process.zero), size_of(process.looked_at),
               size_of(process.anonymous), process.whole ? (*process.whole ? "yes" : "no") : "?"});
  }
  std::string text = shown ? "\n" + table.text() : "\nno process is registered\n";
  if (overview.processes.size() > shown)
    text += fmt::format("and {} with less profit\n", overview.processes.size() - shown);
  std::string idle;
  for (const KsmProcess& process : overview.processes)
    if (process.profit <= 0)
      idle += fmt::format("{}{} ({})", idle.empty() ? "" : ", ", process.pid, process.name);
  if (!idle.empty()) text += "registered, and gain nothing: " + idle + "\n";
  if (overview.hidden_processes)
    text += fmt::format("{} processes of others are not shown; root sees them\n", overview.hidden_processes);
  return text;
}

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

}  // namespace

std::string ksm_table(const KsmOverview& overview) {
  if (!overview.present) return "This kernel has no KSM.\n";
  return state_line(overview) + meaning_lines(overview) + processes_table(overview);
}

std::string ksm_json(const KsmOverview& overview) {
  Json settings = Json::object(), processes = Json::array();
  for (const auto& [name, value] : overview.settings) settings[name] = value;
  for (const KsmProcess& process : overview.processes)
    processes.push_back({{"pid", process.pid},
                         {"name", process.name},
                         {"profit_bytes", process.profit},
                         {"merged_bytes", or_null(process.merged)},
                         {"zero_bytes", or_null(process.zero)},
                         {"looked_at_bytes", process.looked_at},
                         {"anonymous_bytes", or_null(process.anonymous)},
                         {"whole", or_null(process.whole)},
                         {"gains", process.profit > 0}});
  const KsmCounters& counters = overview.counters;
  const Json report = {
      {"present", overview.present},
      {"settings", settings},
      {"counters",
       {{"pages_shared", or_null(counters.pages_shared)},
        {"pages_sharing", or_null(counters.pages_sharing)},
        {"pages_unshared", or_null(counters.pages_unshared)},
        {"pages_volatile", or_null(counters.pages_volatile)},
        {"pages_scanned", or_null(counters.pages_scanned)},
        {"full_scans", or_null(counters.full_scans)},
        {"ksm_zero_pages", or_null(counters.ksm_zero_pages)},
        {"general_profit", or_null(counters.general_profit)}}},
      {"saved_bytes", or_null(overview.saved)},
      {"overhead_bytes", or_null(overview.overhead)},
      {"profit_bytes", or_null(overview.profit)},
      {"looked_at_bytes", or_null(overview.looked_at)},
      {"scan_bytes_per_second", or_null(overview.scan_rate)},
      {"coverage", or_null(overview.coverage)},
      {"merged_part", or_null(overview.merged_part)},
      {"ksmd_stuck_in", or_null(overview.stuck_in)},
      {"processes", processes},
      {"hidden_processes", overview.hidden_processes},
      {"holders", overview.holders},
  };
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace samepage
