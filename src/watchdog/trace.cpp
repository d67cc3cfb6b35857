#include "watchdog/trace.hpp"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "linux/usage_error.hpp"
#include "watchdog/policy.hpp"

namespace samepage {
namespace {

constexpr const char* kFormat = "samepage watchdog trace";
constexpr int kVersion = 1;
constexpr std::int64_t kMost = std::int64_t(1) << 50;

/// Writes a field's value into JSON; what is absent is left out.
class Writer {
 public:
  nlohmann::json json = nlohmann::json::object();

  template <typename T>
  void operator()(const char* name, const T& value) {
    json[name] = value;
  }
  template <typename T>
  void operator()(const char* name, const std::optional<T>& value) {
    if (value) json[name] = *value;
  }
};

/// A number that fits: no fraction, and not so large that sums of bytes would overflow. The largest value of
/// a type stands for "no limit".
template <typename T>
T value_of(const nlohmann::json& json) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    if (!json.is_number_integer()) throw UsageError(fmt::format("{} is no whole number", json.dump()));
    const T value = json.get<T>();
    const bool fits =
        json.is_number_unsigned() ? json.get<std::uint64_t>() < kMost : json.get<std::int64_t>() > -kMost;
    if (!fits && value != std::numeric_limits<T>::max())
      throw UsageError(fmt::format("{} is too large", json.dump()));
    return value;
  } else {
    return json.get<T>();
  }
}

class Reader {
 public:
  explicit Reader(const nlohmann::json& from) : json(from) {}
  const nlohmann::json& json;

  template <typename T>
  void operator()(const char* name, T& value) {
    value = value_of<T>(json.at(name));
  }
  template <typename T>
  void operator()(const char* name, std::optional<T>& value) {
    if (json.contains(name)) value = value_of<T>(json.at(name));
  }
};

// Each list of fields stands once, for writing and for reading.

template <typename Visit, typename Limits>
void limits_fields(Visit& visit, Limits& limits) {
  visit("cpu", limits.cpu);
  visit("cpu_under_pressure", limits.cpu_under_pressure);
  visit("window", limits.window);
  visit("gain", limits.gain);
  visit("worth", limits.worth);
  visit("quiet", limits.quiet);
  visit("longest_wait", limits.longest_wait);
  visit("patience", limits.patience);
  visit("first_retry", limits.first_retry);
  visit("longest_retry", limits.longest_retry);
  visit("pays", limits.pays);
  visit("bursts_to_pay", limits.bursts_to_pay);
  visit("time_to_pay", limits.time_to_pay);
  visit("short_of", limits.short_of);
  visit("pressure", limits.pressure);
  visit("request_pause", limits.request_pause);
}

template <typename Visit, typename Rule>
void rule_fields(Visit& visit, Rule& rule) {
  visit("name", rule.name);
  visit("copies", rule.copies);
  visit("least", rule.least);
  visit("most_processes", rule.most_processes);
  visit("most_memory", rule.most_memory);
  visit("across_users", rule.across_users);
}

template <typename Visit, typename Process>
void process_fields(Visit& visit, Process& process) {
  visit("pid", process.pid);
  visit("start_time", process.start_time);
  visit("user", process.user);
  visit("executable", process.executable);
  visit("anonymous", process.anonymous);
  visit("merged", process.merged);
  visit("registered", process.registered);
  visit("rule", process.rule);
  visit("adopted", process.adopted);
  visit("refused", process.refused);
}

template <typename Visit, typename Sample>
void host_fields(Visit& visit, Sample& sample) {
  visit("seconds", sample.seconds);
  visit("pages_shared", sample.counters.pages_shared);
  visit("pages_sharing", sample.counters.pages_sharing);
  visit("pages_unshared", sample.counters.pages_unshared);
  visit("pages_volatile", sample.counters.pages_volatile);
  visit("pages_scanned", sample.counters.pages_scanned);
  visit("full_scans", sample.counters.full_scans);
  visit("ksm_zero_pages", sample.counters.ksm_zero_pages);
  visit("general_profit", sample.counters.general_profit);
  visit("run", sample.settings.run);
  visit("advisor_mode", sample.settings.advisor_mode);
  visit("max_page_sharing", sample.settings.bounds.max_page_sharing);
  visit("merge_across_nodes", sample.settings.bounds.merge_across_nodes);
  visit("ksmd_cpu", sample.ksmd_cpu);
  visit("pressure", sample.pressure);
  visit("memory_available", sample.memory_available);
  visit("memory_total", sample.memory_total);
  visit("nodes", sample.nodes);
  visit("ksmtuned", sample.ksmtuned);
  visit("bursting", sample.bursting);
  visit("requests", sample.requests);
}

nlohmann::json json_of(const HostSample& sample) {
  Writer host;
  host_fields(host, sample);
  host.json["processes"] = nlohmann::json::array();
  for (const ProcessSeen& process : sample.processes) {
    Writer writer;
    process_fields(writer, process);
    host.json["processes"].push_back(std::move(writer.json));
  }
  return std::move(host.json);
}

HostSample sample_of(const nlohmann::json& json) {
  HostSample sample;
  Reader host(json);
  host_fields(host, sample);
  for (const auto& process : json.at("processes")) {
    Reader reader(process);
    process_fields(reader, sample.processes.emplace_back());
  }
  return sample;
}

struct Header {
  PolicyLimits limits;
  std::vector<RuleLimits> rules;
};

Header header_of(const nlohmann::json& json) {
  if (json.at("format") != kFormat) throw UsageError("is not a trace of samepage watchdog");
  if (json.at("version") != kVersion) throw UsageError("is a trace of another version of samepage");
  Header header;
  Reader reader(json.at("limits"));
  limits_fields(reader, header.limits);
  for (const auto& rule : json.at("rules")) {
    Reader fields(rule);
    rule_fields(fields, header.rules.emplace_back());
  }
  return header;
}

}  // namespace

TraceWriter::TraceWriter(const std::filesystem::path& file, const PolicyLimits& limits,
                         const std::vector<RuleLimits>& rules)
    : name_(file), file_(file) {
  change(limits, rules);
}

void TraceWriter::change(const PolicyLimits& limits, const std::vector<RuleLimits>& rules) {
  Writer of_limits;
  limits_fields(of_limits, limits);
  nlohmann::json header = {{"format", kFormat},
                           {"version", kVersion},
                           {"limits", of_limits.json},
                           {"rules", nlohmann::json::array()}};
  for (const RuleLimits& rule : rules) {
    Writer writer;
    rule_fields(writer, rule);
    header["rules"].push_back(std::move(writer.json));
  }
  put(header.dump());
}

void TraceWriter::add(const HostSample& sample) {
  const auto replace = nlohmann::json::error_handler_t::replace;  // a path may hold any bytes
  put(json_of(sample).dump(-1, ' ', false, replace));
}

void TraceWriter::put(const std::string& line) {
  if (!(file_ << line << '\n' << std::flush))
    throw UsageError(fmt::format("--record {}: cannot be written", name_.string()), 1);
}

void replay_trace(const std::filesystem::path& file,
                  const std::function<void(double seconds, const Decision&)>& decided) {
  std::ifstream in(file);
  if (!in || std::filesystem::is_directory(file))
    throw UsageError(fmt::format("--replay {}: cannot be read", file.string()));
  replay_trace(in, file.string(), decided);
}

void replay_trace(std::istream& in, const std::string& name,
                  const std::function<void(double seconds, const Decision&)>& decided) {
  std::optional<WatchdogPolicy> policy;
  std::size_t number = 0;
  std::string line;
  try {
    while (std::getline(in, line)) {
      ++number;
      const auto json = nlohmann::json::parse(line);
      if (!policy || json.contains("format")) {
        Header header = header_of(json);
        if (policy)
          policy->change(header.limits, std::move(header.rules));
        else
          policy.emplace(header.limits, std::move(header.rules));
        continue;
      }
      const HostSample sample = sample_of(json);
      for (const Decision& decision : policy->next(sample)) decided(sample.seconds, decision);
    }
  } catch (const nlohmann::json::exception&) {
    // The last line of a daemon that was killed while it wrote is no mistake.
    if (!policy || !in.eof())
      throw UsageError(fmt::format("--replay {}:{}: is no line of a trace", name, number));
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("--replay {}:{}: {}", name, number, error.what()));
  }
  if (!policy) throw UsageError(fmt::format("--replay {}: is empty", name));
}

}  // namespace samepage
