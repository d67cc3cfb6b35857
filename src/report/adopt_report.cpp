#include "report/adopt_report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "report/human_size.hpp"
#include "report/text_table.hpp"

namespace samepage {
namespace {

using Json = nlohmann::ordered_json;
using State = AdoptResult::State;

std::string size_of(std::uint64_t bytes) {
  return bytes ? human_size(bytes / 1024) : "-";
}

std::string stop_of(const AdoptedProcess& process) {
  return fmt::format("{:.1f} ms", process.result.longest_stop * 1e3);
}

bool was_reached(const AdoptedProcess& process) {
  return process.result.state == State::done || process.result.state == State::partly;
}

std::string refusals(const std::vector<AdoptedProcess>& processes) {
  std::string lines;
  for (const AdoptedProcess& process : processes)
    if (!process.result.why.empty()) lines += process.result.why + "\n";
  return lines;
}

}  // namespace

const char* state_name(const AdoptedProcess& process) {
  switch (process.result.state) {
    case State::done:
      return process.worth_bytes == 0u ? "nothing" : "done";
    case State::refused:
      return "refused";
    case State::not_supported:
      return "not_supported";
    case State::no_memory:
      return "no_memory";
    case State::partly:
      return "partly";
  }
  return "";
}

std::string adopt_table(const std::vector<AdoptedProcess>& processes, bool dry_run) {
  TextTable table(
      {"pid", "process", "with a twin", dry_run ? "would register" : "registered", "ranges", "stopped"},
      {Align::right, Align::left, Align::right, Align::right, Align::right, Align::right});
  std::string text;
  for (const AdoptedProcess& process : processes) {
    if (!was_reached(process)) continue;
    const bool whole = !process.worth_bytes;
    table.add({std::to_string(process.pid), process.name, whole ? "?" : size_of(*process.worth_bytes),
               whole ? "all" : size_of(process.result.bytes),
               process.ranges ? std::to_string(process.ranges) : "-", stop_of(process)});
    text = table.text();
  }
  return text + refusals(processes);
}

std::string release_table(const std::vector<AdoptedProcess>& processes) {
  TextTable table({"pid", "process", "released", "stopped"},
                  {Align::right, Align::left, Align::right, Align::right});
  std::string text;
  for (const AdoptedProcess& process : processes) {
    if (!was_reached(process)) continue;
    table.add({std::to_string(process.pid), process.name, size_of(process.result.bytes), stop_of(process)});
    text = table.text();
  }
  return text + refusals(processes);
}

std::string adopt_json(const std::vector<AdoptedProcess>& processes) {
  Json list = Json::array();
  for (const AdoptedProcess& process : processes)
    list.push_back({{"pid", process.pid},
                    {"name", process.name},
                    {"state", state_name(process)},
                    {"why", process.result.why},
                    {"worth_bytes", process.worth_bytes ? Json(*process.worth_bytes) : Json(nullptr)},
                    {"ranges", process.ranges},
                    {"bytes", process.result.bytes},
                    {"longest_stop_seconds", process.result.longest_stop}});
  return Json{{"processes", list}}.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace samepage
