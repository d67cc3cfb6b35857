#include "watchdog/adoption.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "watchdog/simulated_host.hpp"

namespace samepage {
namespace {

constexpr std::uint64_t kMB = SimulatedHost::kMB;
using Process = SimulatedHost::Process;

Process of_user(uid_t user, std::size_t rule = 0) {
  Process process;
  process.user = user;
  process.equal = 100 * kMB;
  process.rule = rule;
  return process;
}

std::vector<pid_t> adopted(const SimulatedHost& host) {
  std::vector<pid_t> pids;
  for (const auto& [pid, process] : host.processes)
    if (process.adopted) pids.push_back(pid);
  return pids;
}

TEST(AdoptionTest, AdoptsASettledGroupAndMergesIt) {
  SimulatedHost host({}, {{.name = "reco"}});
  host.start(10, 3, of_user(1));
  host.run(10);
  EXPECT_THAT(adopted(host), testing::ElementsAre(10, 11, 12));
  EXPECT_TRUE(host.said("adopt 10: rule reco: one of 3 × /opt/reco with 100 MB"));
  EXPECT_GE(host.merged(), 285 * kMB);
}

TEST(AdoptionTest, WhatNoRuleTakesIsLeftAlone) {
  SimulatedHost host({}, {{.name = "reco"}});
  Process stranger = of_user(1);
  stranger.rule.reset();
  host.start(10, 3, stranger);
  host.run(60);
  EXPECT_THAT(host.log, testing::IsEmpty());
}

TEST(AdoptionTest, OneAloneIsNoGroup) {
  SimulatedHost host({}, {{.name = "reco"}});
  host.start(10, 1, of_user(1));
  host.start(20, 1, of_user(2));  // the same program, but another user's
  host.run(60);
  EXPECT_THAT(adopted(host), testing::IsEmpty());
}

TEST(AdoptionTest, SmallProcessesAreNotWorthIt) {
  SimulatedHost host({}, {{.name = "reco", .least = 200 * kMB}});
  host.start(10, 3, of_user(1));
  host.run(60);
  EXPECT_THAT(adopted(host), testing::IsEmpty());
}

TEST(AdoptionTest, GroupsOfTwoUsersAreNeverBothAdopted) {
  SimulatedHost host({}, {{.name = "reco"}});
  host.start(10, 2, of_user(1));
  host.start(20, 3, of_user(2));
  host.run(60);
  EXPECT_THAT(adopted(host), testing::ElementsAre(20, 21, 22)) << "the larger one";
  EXPECT_TRUE(host.said("/opt/reco of user 1 is not adopted: processes of user 2 are"));
  for (const pid_t pid : {20, 21, 22}) host.processes.erase(pid);
  host.run(20);
  EXPECT_THAT(adopted(host), testing::ElementsAre(10, 11));
}

TEST(AdoptionTest, UnlessTheRulesSaySo) {
  SimulatedHost host({}, {{.name = "reco", .across_users = true}});
  host.start(10, 2, of_user(1));
  host.start(20, 2, of_user(2));
  host.run(20);
  EXPECT_EQ(adopted(host).size(), 4u);
}

TEST(AdoptionTest, TheRulesOfBothMustSaySo) {
  SimulatedHost host({}, {{.name = "private"}, {.name = "open", .across_users = true}});
  host.start(10, 3, of_user(1, 0));
  host.run(20);
  host.start(20, 3, of_user(2, 1));
  host.run(20);
  EXPECT_THAT(adopted(host), testing::ElementsAre(10, 11, 12));
}

TEST(AdoptionTest, KeepsToARulesLimits) {
  SimulatedHost host({}, {{.name = "few", .most_processes = 2}, {.name = "small", .most_memory = 350 * kMB}});
  host.start(10, 4, of_user(1, 0));
  Process other = of_user(1, 1);
  other.executable = "/opt/other";
  host.start(20, 5, other);
  host.run(20);
  EXPECT_THAT(adopted(host), testing::ElementsAre(10, 11, 20, 21, 22));
  EXPECT_TRUE(host.said("rule few: its limit is reached"));
}

TEST(AdoptionTest, WhatWasRefusedOrOptedInByItselfIsNotAdopted) {
  SimulatedHost host({}, {{.name = "reco"}});
  Process process = of_user(1);
  process.registered = true;
  host.start(10, 2, process);
  process.registered = false;
  process.refused = true;
  host.start(20, 2, process);
  host.run(20);
  EXPECT_THAT(adopted(host), testing::IsEmpty());
}

}  // namespace
}  // namespace samepage
