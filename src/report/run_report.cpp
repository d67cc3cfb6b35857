#include "report/run_report.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "linux/usage_error.hpp"
#include "report/human_size.hpp"
#include "report/text_table.hpp"
#include "report/why_report.hpp"

namespace samepage {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostShortLivedRows = 20;

std::string plural(std::size_t number, const char* one, const char* many) {
  return fmt::format("{} {}", number, number == 1 ? one : many);
}

std::string size_or_dash(const std::optional<std::uint64_t>& kb) {
  return kb ? human_size(*kb) : "-";
}

std::string exit_of(const ProcessRow& row) {
  if (row.signal) return signal_name(*row.signal);
  return row.exit_code ? std::to_string(*row.exit_code) : "-";
}

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

std::string utc(double seconds) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}Z", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string sum_line(const GroupResult& result, std::optional<std::uint64_t> alone_kb) {
  const std::string copies = plural(result.ends.size(), "copy", "copies");
  const auto saving = saving_of(result.totals, alone_kb);
  if (!saving) return fmt::format("{}: too short-lived to be measured\n", copies);
  const double percent = saving->alone_kb ? 100.0 * static_cast<double>(saving->saved_kb()) /
                                                static_cast<double>(saving->alone_kb)
                                          : 0;
  return fmt::format("{}, {}: together {}, alone {}{}, saved {} ({:.0f} %), at {:%H:%M:%S} {}\n", copies,
                     plural(result.totals->processes, "process", "processes"),
                     human_size(saving->together_kb), human_size(saving->alone_kb),
                     saving->estimated ? " (estimated)" : "", signed_human_size(saving->saved_kb()), percent,
                     fmt::localtime(static_cast<std::time_t>(result.totals->time)),
                     result.totals->settled ? "when all had settled" : "while still growing");
}

}  // namespace

std::optional<Saving> saving_of(const std::optional<GroupTotals>& totals,
                                std::optional<std::uint64_t> alone_kb) {
  if (!totals) return std::nullopt;
  return Saving{totals->together_kb, alone_kb.value_or(totals->alone_kb), !alone_kb};
}

std::string run_table(const GroupResult& result, std::optional<std::uint64_t> alone_kb) {
  TextTable table(
      {"copy", "process", "pid", "peak RSS", "private", "of it libraries", "shared", "of it data", "exit"},
      {Align::right, Align::left, Align::right, Align::right, Align::right, Align::right, Align::right,
       Align::right, Align::right});
  std::size_t short_lived = 0, hidden = 0;
  for (const ProcessRow& row : result.rows) {
    if (!row.counted && ++short_lived > kMostShortLivedRows) {
      ++hidden;
      continue;
    }
    table.add({std::to_string(row.copy), row.name + (row.own_layout ? " (exec'd: own layout)" : ""),
               std::to_string(row.pid), size_or_dash(row.peak_rss_kb), size_or_dash(row.private_kb),
               size_or_dash(row.library_data_kb), size_or_dash(row.shared_kb),
               size_or_dash(row.shared_data_kb), exit_of(row)});
  }
  std::string text = table.text();
  if (std::any_of(result.rows.begin(), result.rows.end(),
                  [](const ProcessRow& row) { return row.own_layout; }))
    text +=
        "exec'd: by a start script? Name the program that it starts, or keep one layout: --layout fixed\n";
  if (hidden) text += fmt::format("and {} that ran at other times\n", plural(hidden, "process", "processes"));
  for (const CopyEnd& end : result.ends)
    if (end.status != 0 && result.ends.size() > 1) text += fmt::format("copy {}: {}\n", end.copy, end.how);
  if (result.left_running)
    text += fmt::format("{} that the copies started, still running\n",
                        plural(result.left_running, "process", "processes"));
  if (result.joined)
    text +=
        fmt::format("store {}: {}, of it {} charged to this job's cgroup\n", result.joined->name,
                    human_size(result.joined->size.all_kb), human_size(result.joined->size.charged_here_kb));
  return text + sum_line(result, alone_kb);
}

std::string status_line(const GroupTotals& totals) {
  const std::int64_t saved = static_cast<std::int64_t>(totals.alone_kb - totals.together_kb);
  return fmt::format("{} alive, private {}, shared {}, together {}, saved {}",
                     plural(totals.copies, "copy", "copies"), human_size(totals.private_kb),
                     human_size(totals.shared_kb), human_size(totals.together_kb), signed_human_size(saved));
}

std::string run_json(const GroupResult& result, std::optional<std::uint64_t> alone_kb,
                     const std::optional<Census>& why) {
  Json processes = Json::array(), samples = Json::array();
  for (const ProcessRow& row : result.rows)
    processes.push_back({{"copy", row.copy},
                         {"pid", row.pid},
                         {"ppid", row.ppid},
                         {"command", row.command.empty() ? row.name : row.command},
                         {"exit_code", or_null(row.exit_code)},
                         {"signal", or_null(row.signal)},
                         {"peak_rss_kb", or_null(row.peak_rss_kb)},
                         {"private_kb", or_null(row.private_kb)},
                         {"library_data_kb", or_null(row.library_data_kb)},
                         {"shared_kb", or_null(row.shared_kb)},
                         {"pss_kb", or_null(row.pss_kb)},
                         {"ksm_kb", or_null(row.ksm_kb)}});
  for (const GroupTotals& totals : result.samples)
    samples.push_back({{"measured_at", utc(totals.time)},
                       {"processes", totals.processes},
                       {"private_kb", totals.private_kb},
                       {"shared_kb", totals.shared_kb},
                       {"together_kb", totals.together_kb},
                       {"alone_kb", totals.alone_kb},
                       {"saved_kb", static_cast<std::int64_t>(totals.alone_kb - totals.together_kb)}});
  const auto saving = saving_of(result.totals, alone_kb);
  Json report = {
      {"processes", processes},
      {"together_kb", saving ? Json(saving->together_kb) : Json(nullptr)},
      {"alone_kb", saving ? Json(saving->alone_kb) : Json(nullptr)},
      {"saved_kb", saving ? Json(saving->saved_kb()) : Json(nullptr)},
      {"measured_at", saving ? Json(utc(result.totals->time)) : Json(nullptr)},
      {"samples", samples},
  };
  if (result.joined)
    report["store"] = {{"name", result.joined->name},
                       {"all_kb", result.joined->size.all_kb},
                       {"charged_here_kb", result.joined->size.charged_here_kb}};
  if (why) report["why"] = Json::parse(why_json(*why));
  // A command line may hold any bytes.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::uint64_t together_in(const std::filesystem::path& json) {
  std::ifstream stream(json);
  if (!stream) throw UsageError(fmt::format("{}: cannot be read", json.string()));
  const Json report = Json::parse(stream, nullptr, false);
  if (!report.is_object() || !report.contains("together_kb") || !report["together_kb"].is_number_unsigned())
    throw UsageError(fmt::format("{}: is not a report of samepage run with together_kb", json.string()));
  return report["together_kb"];
}

}  // namespace samepage
