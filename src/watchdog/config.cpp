#include "watchdog/config.hpp"

#include <fmt/format.h>
#include <fnmatch.h>
#include <pwd.h>

#include <charconv>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>

#include "linux/usage_error.hpp"

#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace samepage {
namespace {

bool matches(const std::string& pattern, const std::string& text) {
  return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

/// "12 MB", "1.5GiB", "4096".
std::optional<double> bytes_of(const std::string& text) {
  static const std::map<std::string, double> kUnits = {
      {"", 1},     {"B", 1},       {"kB", 1e3},       {"MB", 1e6},
      {"GB", 1e9}, {"KiB", 1024.}, {"MiB", 1048576.}, {"GiB", 1073741824.}};
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || !(value >= 0)) return std::nullopt;
  std::string unit(end, text.data() + text.size());
  unit.erase(0, std::min(unit.find_first_not_of(' '), unit.size()));
  const auto found = kUnits.find(unit);
  if (found == kUnits.end() || value * found->second > 1e18) return std::nullopt;
  return value * found->second;
}

/// Reads the keys of one table. Whatever is not read is an error, so that a slip of the pen is seen.
class Table {
 public:
  Table(const toml::table& table, std::string name, std::string prefix)
      : table_(table), name_(std::move(name)), prefix_(std::move(prefix)) {}

  using Reader = std::function<void(const std::string& key, const toml::node& value)>;

  void read(const std::map<std::string, Reader>& readers) const {
    for (const auto& [key, value] : table_) {
      const std::string word(key.str());
      const auto reader = readers.find(word);
      if (reader == readers.end()) {
        std::string known;
        for (const auto& [name, unused] : readers) known += (known.empty() ? "" : ", ") + name;
        fail(key.source(), word, "unknown key; known are " + known);
      }
      reader->second(word, value);
    }
  }

  Reader text(std::optional<std::string>& into) const {
    return [&](const std::string& key, const toml::node& value) { into = text_of(key, value); };
  }
  Reader flag(bool& into) const {
    return [&](const std::string& key, const toml::node& value) {
      if (!value.is_boolean()) fail(value.source(), key, "must be true or false");
      into = **value.as_boolean();
    };
  }
  Reader number(double& into, double least, double most) const {
    return [this, &into, least, most](const std::string& key, const toml::node& value) {
      const auto found = value.value<double>();
      if (!value.is_number() || !(*found >= least && *found <= most))
        fail(value.source(), key, fmt::format("must be a number from {} to {}", least, most));
      into = *found;
    };
  }
  template <typename Count>
  Reader count(Count& into, std::int64_t least) const {
    return [this, &into, least](const std::string& key, const toml::node& value) {
      if (!value.is_integer() || **value.as_integer() < least)
        fail(value.source(), key, fmt::format("must be a whole number, {} or more", least));
      into = static_cast<Count>(**value.as_integer());
    };
  }
  template <typename Bytes>
  Reader size(Bytes& into) const {
    return [&](const std::string& key, const toml::node& value) {
      const auto found = value.is_integer() && **value.as_integer() >= 0
                             ? std::optional(static_cast<double>(**value.as_integer()))
                         : value.is_string() ? bytes_of(**value.as_string())
                                             : std::nullopt;
      if (!found) fail(value.source(), key, R"(must be a size such as "64 MB" or "1 GiB")");
      into = static_cast<Bytes>(*found);
    };
  }
  Reader user(std::optional<uid_t>& into) const {
    return [&](const std::string& key, const toml::node& value) {
      if (value.is_integer() && **value.as_integer() >= 0) {
        into = static_cast<uid_t>(**value.as_integer());
        return;
      }
      const std::string name = text_of(key, value);
      const passwd* found = getpwnam(name.c_str());
      if (!found) fail(value.source(), key, fmt::format("there is no user {}", name));
      into = found->pw_uid;
    };
  }

  std::string text_of(const std::string& key, const toml::node& value) const {
    if (!value.is_string() || (**value.as_string()).empty())
      fail(value.source(), key, "must be a text in quotes");
    return **value.as_string();
  }
  [[noreturn]] void fail(const toml::source_region& where, const std::string& key,
                         const std::string& what) const {
    throw UsageError(fmt::format("{}:{}: {}{}: {}", name_, where.begin.line, prefix_, key, what));
  }

 private:
  const toml::table& table_;
  std::string name_, prefix_;
};

PolicyLimits limits_of(const toml::table& toml, const std::string& name) {
  PolicyLimits limits;
  const Table table(toml, name, "watchdog.");
  table.read({{"cpu", table.number(limits.cpu, 0.001, 64)},
              {"cpu_under_pressure", table.number(limits.cpu_under_pressure, 0.001, 64)},
              {"window", table.number(limits.window, 1, 86400)},
              {"gain", table.size(limits.gain)},
              {"worth", table.size(limits.worth)},
              {"quiet", table.number(limits.quiet, 0, 600)},
              {"longest_wait", table.number(limits.longest_wait, 0, 3600)},
              {"first_retry", table.number(limits.first_retry, 1, 86400)},
              {"longest_retry", table.number(limits.longest_retry, 1, 864000)},
              {"pays", table.number(limits.pays, 0, 1)},
              {"time_to_pay", table.number(limits.time_to_pay, 0, 86400)}});
  return limits;
}

Rule rule_of(const toml::table& toml, const std::string& name, std::size_t index) {
  Rule rule;
  std::optional<std::string> called;
  const Table table(toml, name, "adopt.");
  table.read({{"name", table.text(called)},
              {"executable", table.text(rule.executable)},
              {"user", table.user(rule.user)},
              {"cgroup", table.text(rule.cgroup)},
              {"unit", table.text(rule.unit)},
              {"copies", table.count(rule.limits.copies, 1)},
              {"min_memory", table.size(rule.limits.least)},
              {"max_processes", table.count(rule.limits.most_processes, 1)},
              {"max_memory", table.size(rule.limits.most_memory)},
              {"across_users", table.flag(rule.limits.across_users)}});
  if (!rule.executable && !rule.user && !rule.cgroup && !rule.unit)
    table.fail(toml.source(), called.value_or(std::to_string(index + 1)),
               "needs an executable, user, cgroup or unit, or it would take every process");
  if (rule.executable && !rule.executable->starts_with('/') && !rule.executable->starts_with('*'))
    table.fail(toml.get("executable")->source(), "executable", "must be a whole path, or begin with *");
  rule.limits.name = called.value_or(std::to_string(index + 1));
  return rule;
}

}  // namespace

bool Rule::takes(const std::string& program, uid_t owner, const std::vector<std::string>& cgroups) const {
  if (executable && !matches(*executable, program)) return false;
  if (user && *user != owner) return false;
  const auto somewhere = [&](const std::function<bool(const std::string&)>& fits) {
    return std::any_of(cgroups.begin(), cgroups.end(), fits);
  };
  const bool in_cgroup = !cgroup || somewhere([&](const std::string& path) {
    return matches(*cgroup, path) || matches(*cgroup + "/*", path);
  });
  const bool in_unit = !unit || somewhere([&](const std::string& path) {
    std::istringstream parts(path);
    for (std::string part; std::getline(parts, part, '/');)
      if (matches(*unit, part)) return true;
    return false;
  });
  return in_cgroup && in_unit;
}

WatchdogConfig parse_config(std::string_view text, const std::string& name) {
  toml::table toml;
  try {
    toml = toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw UsageError(fmt::format("{}:{}: {}", name, error.source().begin.line, error.description()));
  }
  WatchdogConfig config;
  const Table table(toml, name, "");
  table.read({{"watchdog",
               [&](const std::string& key, const toml::node& value) {
                 if (!value.is_table()) table.fail(value.source(), key, "must be a table: [watchdog]");
                 config.limits = limits_of(*value.as_table(), name);
               }},
              {"adopt", [&](const std::string& key, const toml::node& value) {
                 if (!value.is_array_of_tables())
                   table.fail(value.source(), key, "must be a list of tables: [[adopt]]");
                 for (const auto& element : *value.as_array())
                   config.rules.push_back(rule_of(*element.as_table(), name, config.rules.size()));
               }}});
  return config;
}

WatchdogConfig read_config(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  if (std::filesystem::is_directory(file) || !in || (!(text << in.rdbuf()) && in.peek() != EOF))
    throw UsageError(fmt::format("{}: cannot be read", file.string()));
  return parse_config(text.str(), file.string());
}

}  // namespace samepage
