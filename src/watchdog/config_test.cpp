#include "watchdog/config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "linux/usage_error.hpp"

namespace samepage {
namespace {

std::string error_of(std::string_view text) {
  try {
    parse_config(text, "w.toml");
  } catch (const UsageError& error) {
    return error.what();
  }
  return "none";
}

TEST(WatchdogConfigTest, EverythingCanBeLeftOut) {
  const WatchdogConfig config = parse_config("", "w.toml");
  EXPECT_EQ(config.limits.cpu, PolicyLimits().cpu);
  EXPECT_TRUE(config.rules.empty());
}

TEST(WatchdogConfigTest, ReadsLimitsAndRules) {
  const WatchdogConfig config = parse_config(R"(
[watchdog]
cpu = 0.2
gain = "32 MB"
worth = 1048576
quiet = 2

[[adopt]]
name = "reco"
executable = "/opt/reco/bin/*"
user = "root"
min_memory = "1.5 GiB"
max_processes = 8
across_users = true

[[adopt]]
unit = "job@*.service"
)",
                                             "w.toml");
  EXPECT_EQ(config.limits.cpu, 0.2);
  EXPECT_EQ(config.limits.gain, 32e6);
  EXPECT_EQ(config.limits.worth, 1048576u);
  EXPECT_EQ(config.limits.quiet, 2);
  ASSERT_EQ(config.rules.size(), 2u);
  EXPECT_EQ(config.rules[0].limits.name, "reco");
  EXPECT_EQ(config.rules[0].user, 0u);
  EXPECT_EQ(config.rules[0].limits.least, 3u << 29);
  EXPECT_EQ(config.rules[0].limits.most_processes, 8u);
  EXPECT_TRUE(config.rules[0].limits.across_users);
  EXPECT_EQ(config.rules[1].limits.name, "2");
  EXPECT_FALSE(config.rules[1].limits.across_users);
}

TEST(WatchdogConfigTest, NamesLineAndKey) {
  EXPECT_EQ(error_of("[watchdog]\ncpu = \"much\"\n"),
            "w.toml:2: watchdog.cpu: must be a number from 0.001 to 64");
  EXPECT_EQ(error_of("[watchdog]\ncpu = 0\n"), "w.toml:2: watchdog.cpu: must be a number from 0.001 to 64");
  EXPECT_EQ(error_of("[watchdog]\nquiet = nan\n"),
            "w.toml:2: watchdog.quiet: must be a number from 0 to 600");
  EXPECT_EQ(error_of("\n[watchdog]\ngain = \"7 miles\"\n"),
            "w.toml:3: watchdog.gain: must be a size such as \"64 MB\" or \"1 GiB\"");
  EXPECT_EQ(error_of("[[adopt]]\nexecutable = \"/bin/x\"\nmax_processes = 0\n"),
            "w.toml:3: adopt.max_processes: must be a whole number, 1 or more");
  EXPECT_EQ(error_of("[[adopt]]\nuser = \"nobody-of-that-name\"\n"),
            "w.toml:2: adopt.user: there is no user nobody-of-that-name");
  EXPECT_EQ(error_of("[[adopt]]\nexecutable = \"reco\"\n"),
            "w.toml:2: adopt.executable: must be a whole path, or begin with *");
  EXPECT_EQ(error_of("[[adopt]]\nexecutable = 7\n"), "w.toml:2: adopt.executable: must be a text in quotes");
  EXPECT_EQ(error_of("[[adopt]]\nexecutable = \"/x\"\nacross_users = 1\n"),
            "w.toml:3: adopt.across_users: must be true or false");
  EXPECT_EQ(error_of("adopt = 3\n"), "w.toml:1: adopt: must be a list of tables: [[adopt]]");
  EXPECT_EQ(error_of("watchdog = 3\n"), "w.toml:1: watchdog: must be a table: [watchdog]");
  EXPECT_THAT(
      error_of("[watchdog]\n\ncup = 0.1\n"),
      testing::StartsWith("w.toml:3: watchdog.cup: unknown key; known are cpu, cpu_under_pressure, "));
  EXPECT_EQ(error_of("\n\n[[adopt]]\nname = \"all\"\n"),
            "w.toml:3: adopt.all: needs an executable, user, cgroup or unit, or it would take every process");
  EXPECT_THAT(error_of("[watchdog\n"), testing::StartsWith("w.toml:1: "));
}

TEST(WatchdogConfigTest, ARuleTakesWhoMeetsAllItsConditions) {
  const Rule rule =
      parse_config("[[adopt]]\nexecutable = \"/opt/*/reco\"\nuser = 7\nunit = \"job@*.service\"\n", "")
          .rules[0];
  const std::vector<std::string> cgroup = {"/system.slice/job@3.service/worker"};
  EXPECT_TRUE(rule.takes("/opt/a/reco", 7, cgroup));
  EXPECT_FALSE(rule.takes("/usr/a/reco", 7, cgroup));
  EXPECT_FALSE(rule.takes("/opt/a/reco", 8, cgroup));
  EXPECT_FALSE(rule.takes("/opt/a/reco", 7, {"/system.slice/ssh.service"}));
  EXPECT_FALSE(rule.takes("/opt/a/reco", 7, {}));
}

TEST(WatchdogConfigTest, AControlGroupHoldsThoseBelowIt) {
  const Rule rule = parse_config("[[adopt]]\ncgroup = \"/batch\"\n", "").rules[0];
  EXPECT_TRUE(rule.takes("/x", 1, {"/batch"}));
  EXPECT_TRUE(rule.takes("/x", 1, {"/batch/7/8"}));
  EXPECT_FALSE(rule.takes("/x", 1, {"/batches"}));
  EXPECT_FALSE(rule.takes("/x", 1, {"/other/batch"}));
}

}  // namespace
}  // namespace samepage
