#include "samepage/farm/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

namespace samepage::farm {

namespace {

const char* name(Report::Status status) {
  switch (status) {
    case Report::Status::complete:
      return "complete";
    case Report::Status::partial:
      return "partial";
    case Report::Status::interrupted:
      return "interrupted";
    default:
      return "failed";
  }
}

}  // namespace

int Report::exit_status() const {
  switch (status) {
    case Status::complete:
      return 0;
    case Status::partial:
      return 3;
    case Status::interrupted:
      return 130;
    default:
      return 1;
  }
}

std::string memory_table(const Report& report) {
  struct Sum {
    std::uint64_t workers = 0, private_kb = 0, shared_kb = 0;
  };
  std::map<std::tuple<unsigned, bool, std::uint64_t>, Sum> rows;  // generation, end, event
  for (const MemorySample& sample : report.memory) {
    Sum& sum = rows[{sample.generation, sample.end, sample.end ? 0 : sample.event}];
    ++sum.workers;
    sum.private_kb += sample.private_kb;
    sum.shared_kb += sample.shared_kb;
  }
  std::string text =
      fmt::format("{:<22}{:>9}{:>13}{:>12}\n", "MB per worker", "workers", "private", "shared");
  for (const auto& [key, sum] : rows) {
    const auto& [generation, end, event] = key;
    std::string label = end ? "end" : fmt::format("event {}", event);
    if (generation) label += fmt::format(", re-fork {}", generation);
    const double scale = 1024.0 * static_cast<double>(sum.workers);
    text +=
        fmt::format("{:<22}{:>9}{:>13.1f}{:>12.1f}\n", label, sum.workers,
                    static_cast<double>(sum.private_kb) / scale, static_cast<double>(sum.shared_kb) / scale);
  }
  if (report.together_bytes)
    text += fmt::format("ideal: {:.1f} MB with one copy of each page's content, reached: {:.1f} MB\n",
                        static_cast<double>(report.ideal_bytes) / 1048576,
                        static_cast<double>(report.together_bytes) / 1048576);
  return text;
}

std::string to_json(const Report& report) {
  nlohmann::ordered_json json = {{"status", name(report.status)},
                                 {"events", report.events},
                                 {"quarantined", report.quarantined},
                                 {"retries", report.retries},
                                 {"workers_lost", report.workers_lost},
                                 {"reforks", report.reforks},
                                 {"templates_rejected", report.templates_rejected},
                                 {"seconds", report.seconds},
                                 {"sharing", report.sharing}};
  if (!report.error.empty()) json["error"] = report.error;
  if (report.together_bytes)
    json["why"] = {{"together_bytes", report.together_bytes}, {"ideal_bytes", report.ideal_bytes}};
  json["memory"] = nlohmann::ordered_json::array();
  for (const MemorySample& sample : report.memory) {
    json["memory"].push_back({{"worker", sample.worker},
                              {"generation", sample.generation},
                              {"event", sample.event},
                              {"end", sample.end},
                              {"private_kb", sample.private_kb},
                              {"shared_kb", sample.shared_kb},
                              {"pss_kb", sample.pss_kb}});
  }
  return json.dump(1);
}

}  // namespace samepage::farm
