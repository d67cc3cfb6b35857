#include "report/top_json.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace samepage {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kKb = 1024;

template <typename T>
Json or_null(const std::optional<T>& value, T factor = 1) {
  return value ? Json(*value * factor) : Json(nullptr);
}

Json pressure_json(const Pressure& pressure) {
  return {{"some_percent", or_null(pressure.some)}, {"full_percent", or_null(pressure.full)}};
}

Json host_json(const Host& host) {
  return {{"total_bytes", or_null(host.memory.total, kKb)},
          {"available_bytes", or_null(host.memory.available, kKb)},
          {"shared_memory_bytes", or_null(host.memory.shmem, kKb)},
          {"swap_total_bytes", or_null(host.memory.swap_total, kKb)},
          {"swap_free_bytes", or_null(host.memory.swap_free, kKb)},
          {"pressure",
           {{"memory", pressure_json(host.memory_pressure)},
            {"io", pressure_json(host.io_pressure)},
            {"cpu", pressure_json(host.cpu_pressure)}}},
          {"ksm",
           {{"run", host.ksm_run ? Json(*host.ksm_run) : Json(nullptr)},
            {"pages_shared", or_null(host.ksm.pages_shared)},
            {"pages_sharing", or_null(host.ksm.pages_sharing)},
            {"full_scans", or_null(host.ksm.full_scans)},
            {"profit_bytes", or_null(host.ksm.general_profit)}}}};
}

Json process_json(const LiveProcess& process) {
  const ProcessShare& share = process.share;
  std::string command;
  for (const std::string& word : process.words) command += (command.empty() ? "" : " ") + word;
  Json json = {{"pid", process.pid},
               {"name", process.name},
               {"command", command},
               {"hidden", share.hidden},
               {"rss_bytes", share.rss * kKb}};
  const auto known = [&](std::uint64_t kb) { return share.hidden ? Json(nullptr) : Json(kb * kKb); };
  json["pss_bytes"] = known(share.pss);
  json["private_bytes"] = known(share.private_kb);
  json["shared_bytes"] = known(share.shared_kb);
  json["swapped_pss_bytes"] = known(share.swapped_pss);
  json["page_table_bytes"] = known(share.page_tables);
  json["ksm_bytes"] = or_null(share.ksm, kKb);
  return json;
}

}  // namespace

std::string top_json(const LiveSample& sample, const Host& host) {
  Json groups = Json::array();
  for (const LiveGroup& group : sample.groups) {
    Json processes = Json::array();
    for (const LiveProcess* process : group.processes) processes.push_back(process_json(*process));
    groups.push_back({{"name", group.name},
                      {"program", group.program},
                      {"user", group.user},
                      {"together_bytes", group.together_kb * kKb},
                      {"alone_bytes", group.alone_kb * kKb},
                      {"saved_bytes", group.saved_kb() * static_cast<std::int64_t>(kKb)},
                      {"private_bytes", group.now_private_kb * kKb},
                      {"processes", std::move(processes)}});
  }
  const Json json = {{"measured_at", fmt::format("{:%Y-%m-%dT%H:%M:%S}Z",
                                                 fmt::gmtime(static_cast<std::time_t>(sample.time)))},
                     {"host", host_json(host)},
                     {"groups", std::move(groups)}};
  // A command line and a path may hold any bytes.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace samepage
