#include "watchdog/policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "watchdog/simulated_host.hpp"

namespace samepage {
namespace {

constexpr std::uint64_t kMB = SimulatedHost::kMB;
using Process = SimulatedHost::Process;

const Process kReco{.equal = 240 * kMB, .unique = 10 * kMB, .registered = true};

TEST(WatchdogPolicyTest, DoesNothingOnAnIdleHost) {
  SimulatedHost host;
  host.start(10, 5, {.executable = "/bin/sh", .equal = 2 * kMB});
  host.run(600);
  EXPECT_EQ(host.bursts, 0);
  EXPECT_THAT(host.log, testing::IsEmpty());
  EXPECT_EQ(host.policy().look_again_in(), 1);
}

TEST(WatchdogPolicyTest, MergesAGroupInOneBurstAndRests) {
  SimulatedHost host;
  host.run(10);
  host.start(10, 4, kReco);
  host.run(8);
  EXPECT_GE(host.merged(), 0.95 * static_cast<double>(host.equal()));
  host.run(600);
  EXPECT_EQ(host.bursts, 1);
  EXPECT_LT(host.burst_seconds, 5);
  EXPECT_FALSE(host.policy().bursting());
}

TEST(WatchdogPolicyTest, WaitsUntilAGroupHasSettled) {
  SimulatedHost host;
  host.start(10, 4, {.equal = 0, .registered = true});
  for (int i = 0; i < 20; ++i) {
    for (auto& [pid, process] : host.processes) process.equal += 12 * kMB;
    host.run(0.2);
  }
  EXPECT_EQ(host.bursts, 0);
  host.run(6);
  EXPECT_EQ(host.bursts, 1);
  EXPECT_GE(host.merged(), 0.95 * static_cast<double>(host.equal()));
}

TEST(WatchdogPolicyTest, AGroupThatNeverSettlesIsMergedAllTheSame) {
  SimulatedHost host;
  host.start(10, 4, {.equal = 100 * kMB, .registered = true});
  for (int i = 0; i < 100; ++i) {
    for (auto& [pid, process] : host.processes) process.equal += 10 * kMB;
    host.run(0.2);
  }
  EXPECT_GE(host.bursts, 1);
  EXPECT_GE(host.merged(), 0.3 * static_cast<double>(host.equal()));
}

TEST(WatchdogPolicyTest, StopsSoonWhenNothingIsEqual) {
  SimulatedHost host;
  host.start(10, 4, {.unique = 250 * kMB, .registered = true});
  host.run(600);
  EXPECT_EQ(host.bursts, 1);
  EXPECT_LT(host.burst_seconds, 5);
  EXPECT_TRUE(host.said("the last pass merged 0 MB"));
}

TEST(WatchdogPolicyTest, EndsTheMomentAllIsMerged) {
  SimulatedHost host;
  host.start(20, 4, {.equal = 250 * kMB, .registered = true});
  host.run(20);
  host.burst_seconds = 0;
  host.start(10, 4, {.equal = 250 * kMB, .registered = true});  // ksmd comes to these first
  host.run(20);
  EXPECT_EQ(host.merged(), host.equal());
  EXPECT_TRUE(host.said("rest: all of 1000 MB that were new are merged"));
  EXPECT_LT(host.burst_seconds, 5.5) << "two passes of 2 s, and half a one";
}

TEST(WatchdogPolicyTest, WhatIsUniqueIsNotLookedAtOnceMore) {
  SimulatedHost host;
  host.start(10, 4, {.equal = 150 * kMB, .unique = 100 * kMB, .registered = true});
  host.run(20);
  EXPECT_EQ(host.merged(), host.equal());
  EXPECT_LT(host.burst_seconds, 3.3) << "three passes of 1 s";
}

TEST(WatchdogPolicyTest, ASecondGroupIsMergedBesideTheFirst) {
  SimulatedHost host;
  host.start(10, 4, kReco);
  host.run(20);
  host.start(20, 4, kReco);
  host.run(20);
  EXPECT_EQ(host.bursts, 2);
  EXPECT_GE(host.merged(), 0.95 * static_cast<double>(host.equal()));
}

TEST(WatchdogPolicyTest, WhatComesDuringABurstIsMergedToo) {
  SimulatedHost host;
  host.start(10, 4, kReco);
  while (!host.policy().bursting()) host.run(0.1);
  host.run(2.5);
  host.start(20, 4, kReco);
  host.run(20);
  EXPECT_GE(host.merged(), 0.95 * static_cast<double>(host.equal()));
  EXPECT_LE(host.bursts, 2);
}

TEST(WatchdogPolicyTest, NothingIsDoneWhenGroupsLeave) {
  SimulatedHost host;
  host.start(10, 4, kReco);
  host.run(20);
  host.processes.erase(10);
  host.run(20);
  host.processes.clear();
  host.run(60);
  EXPECT_EQ(host.bursts, 1);
}

TEST(WatchdogPolicyTest, APidThatIsUsedAgainIsANewProcess) {
  SimulatedHost host;
  host.start(10, 4, kReco);
  host.run(20);
  ASSERT_EQ(host.bursts, 1);
  // The same sizes, and nothing merged: without the start time it would look like memory that was written to.
  auto decisions = host.look();
  HostSample next = host.now;
  for (ProcessSeen& process : next.processes) {
    process.start_time += 1000;
    process.merged = 0;
  }
  for (double end = next.seconds + 3; next.seconds < end && decisions.empty(); next.seconds += 0.25)
    decisions = host.policy().next(next);
  ASSERT_EQ(decisions.size(), 1u);
  EXPECT_THAT(text_of(decisions[0]), testing::HasSubstr("4 processes hold 1000 MB that is new"));
}

TEST(WatchdogPolicyTest, BacksOffFromMemoryThatIsWrittenTo) {
  SimulatedHost host;
  host.start(10, 4, kReco);
  host.run(20);
  // One member writes to 100 MB without end.
  host.processes[10].equal -= 100 * kMB;
  host.processes[10].changing = 100 * kMB;
  host.run(900);
  EXPECT_GE(host.bursts, 3) << "it is tried again";
  EXPECT_LE(host.bursts, 8) << "ever more rarely";
  const int before = host.bursts;
  host.run(3600);
  EXPECT_LE(host.bursts - before, 7);
}

TEST(WatchdogPolicyTest, MemoryThatStoppedChangingIsMergedAgain) {
  SimulatedHost host;
  host.start(10, 4, kReco);
  host.run(20);
  host.processes[10].equal -= 100 * kMB;
  host.processes[10].changing = 100 * kMB;
  host.processes[10].seen_once = host.processes[10].merging = 0;
  host.run(5);
  host.processes[10].equal += 100 * kMB;
  host.processes[10].changing = 0;
  host.run(60);
  EXPECT_GE(host.merged(), 0.95 * static_cast<double>(host.equal()));
}

TEST(WatchdogPolicyTest, ReleasesWhatNeverPays) {
  SimulatedHost host({}, {{.name = "all"}});
  host.start(10, 4, {.unique = 250 * kMB, .rule = 0});
  host.run(30);
  EXPECT_TRUE(host.processes[10].adopted);
  // More memory, so that there is reason for further bursts.
  for (int i = 0; i < 4; ++i) {
    for (auto& [pid, process] : host.processes) process.unique += 100 * kMB;
    host.run(30);
  }
  EXPECT_FALSE(host.processes[10].adopted);
  EXPECT_TRUE(host.said("release 10: 0 MB of 450 MB merged after"));
  host.run(60);
  EXPECT_FALSE(host.processes[10].adopted) << "for good";
}

TEST(WatchdogPolicyTest, WhatIsNotOursIsNeverReleased) {
  SimulatedHost host;
  host.start(10, 4, {.unique = 250 * kMB, .registered = true});
  for (int i = 0; i < 6; ++i) {
    for (auto& [pid, process] : host.processes) process.unique += 100 * kMB;
    host.run(30);
  }
  EXPECT_FALSE(host.said("release"));
}

TEST(WatchdogPolicyTest, AnAdvisorAtWorkIsLeftAlone) {
  SimulatedHost host;
  host.now.settings = {.run = "1", .advisor_mode = "scan-time"};
  host.start(10, 4, kReco);
  host.run(60);
  EXPECT_EQ(host.bursts, 0);
  EXPECT_THAT(host.log, testing::ElementsAre(
                            "note: the kernel's advisor (scan-time) sets KSM's pace; it is left alone"));
  host.now.settings.advisor_mode = "none";
  host.start(20, 4, kReco);
  host.run(20);
  EXPECT_TRUE(host.said("KSM's pace is ours to set again"));
  EXPECT_GE(host.bursts, 1);
}

TEST(WatchdogPolicyTest, AnAdvisorThatRestsIsNoReason) {
  SimulatedHost host;
  host.now.settings.advisor_mode = "scan-time";  // with run=0 it does nothing
  host.start(10, 4, kReco);
  host.run(20);
  EXPECT_EQ(host.bursts, 1);
}

TEST(WatchdogPolicyTest, KsmtunedThatComesEndsABurst) {
  SimulatedHost host;
  host.start(10, 4, kReco);
  while (!host.policy().bursting()) host.run(0.1);
  host.now.ksmtuned = true;
  host.run(60);
  EXPECT_FALSE(host.policy().bursting());
  EXPECT_EQ(host.bursts, 1);
  EXPECT_TRUE(host.said("ksmtuned is running and sets KSM's pace; it is left alone"));
}

TEST(WatchdogPolicyTest, KsmSwitchedOffByTheAdministratorStaysOff) {
  SimulatedHost host;
  host.now.settings.run = "2";
  host.start(10, 4, kReco);
  host.run(60);
  EXPECT_EQ(host.bursts, 0);
  EXPECT_TRUE(host.said("run is 2"));
}

TEST(WatchdogPolicyTest, WhoTurnsKsmOffDuringABurstIsObeyed) {
  SimulatedHost host;
  host.start(10, 4, kReco);
  while (!host.policy().bursting()) host.run(0.1);
  host.run(0.2);
  host.now.settings.run = "0";
  host.run(30);
  EXPECT_EQ(host.bursts, 1);
  EXPECT_TRUE(host.said("rest: somebody else turned KSM off"));
}

TEST(WatchdogPolicyTest, KeepsToItsBudget) {
  const PolicyLimits limits{.cpu = 0.05, .window = 20};
  SimulatedHost host(limits);
  for (int i = 0; i < 200; ++i) {  // new groups without end
    host.start(100 + 10 * i, 4, kReco);
    if (i >= 5)
      for (int k = 0; k < 4; ++k) host.processes.erase(100 + 10 * (i - 5) + k);
    host.run(3);
  }
  EXPECT_LE(host.ksmd_cpu, 0.05 * host.now.seconds + 0.05 * 20 + 1);
  EXPECT_GE(host.ksmd_cpu, 0.7 * 0.05 * host.now.seconds);
  EXPECT_TRUE(host.said("ksmd has used up its CPU budget"));
}

TEST(WatchdogPolicyTest, WithoutAnySightOfKsmdTheTimeOfBurstsCounts) {
  SimulatedHost host({.cpu = 0.05, .window = 20});
  host.sees_ksmd = false;
  for (int i = 0; i < 60; ++i) {
    host.start(100 + 10 * i, 4, kReco);
    if (i >= 5)
      for (int k = 0; k < 4; ++k) host.processes.erase(100 + 10 * (i - 5) + k);
    host.run(3);
  }
  EXPECT_LE(host.burst_seconds, 0.05 * host.now.seconds + 0.05 * 20 + 1);
  EXPECT_GE(host.bursts, 2);
}

TEST(WatchdogPolicyTest, PressureMakesLessWorthwhile) {
  SimulatedHost host;
  host.start(10, 2, {.equal = 4 * kMB, .registered = true});
  host.run(20);
  EXPECT_EQ(host.bursts, 0);
  host.now.pressure = 35;
  host.run(20);
  EXPECT_EQ(host.bursts, 1);
  EXPECT_TRUE(host.said("memory is short"));
  host.now.pressure = 0;
  host.run(2);
  EXPECT_TRUE(host.said("memory is no longer short"));
}

TEST(WatchdogPolicyTest, WithoutPsiFreeMemoryTells) {
  SimulatedHost host;
  host.now.memory_available = 500 * kMB;
  host.run(2);
  EXPECT_TRUE(host.said("memory is short (500 MB available)"));
}

TEST(WatchdogPolicyTest, CountersOfAnOldKernelSuffice) {
  SimulatedHost host;
  host.tells = false;
  host.now.settings = {.run = "0"};
  host.start(10, 4, kReco);
  host.run(20);
  EXPECT_GE(host.merged(), 0.95 * static_cast<double>(host.equal()));
  host.run(600);
  EXPECT_EQ(host.bursts, 1);
  host.start(20, 4, kReco);
  host.run(20);
  EXPECT_EQ(host.bursts, 2);
}

TEST(WatchdogPolicyTest, WithoutCountersABurstIsGivenUp) {
  SimulatedHost host;
  host.start(10, 4, kReco);
  host.ksmd_works = false;
  host.run(80);
  EXPECT_EQ(host.bursts, 1);
  EXPECT_TRUE(host.said("ksmd completed no pass in 60 s"));
}

TEST(WatchdogPolicyTest, CountersThatGoBackwardsAreNoGainAndNoLoss) {
  SimulatedHost host;
  host.start(10, 4, kReco);
  while (!host.policy().bursting()) host.run(0.1);
  host.run(1);
  host.now.counters.full_scans = 0;
  host.run(30);
  EXPECT_FALSE(host.policy().bursting());
  EXPECT_GE(host.merged(), 0.95 * static_cast<double>(host.equal()));
}

TEST(WatchdogPolicyTest, ABurstThatCannotBeginIsNotTriedWithoutEnd) {
  SimulatedHost host;
  host.can_burst = false;
  host.start(10, 4, kReco);
  host.run(300);
  EXPECT_EQ(host.bursts, 1);
}

TEST(WatchdogPolicyTest, SaysWhatLimitsSharing) {
  SimulatedHost host;
  host.now.nodes = 2;
  host.now.settings.bounds.merge_across_nodes = 0;
  host.now.settings.bounds.max_page_sharing = 3;
  host.start(10, 4, kReco);
  host.run(5);
  EXPECT_TRUE(host.said("each of 2 memory nodes keeps a copy"));
  EXPECT_TRUE(host.said("at most 3 mappings share a page (max_page_sharing): 4 processes"));
}

TEST(WatchdogPolicyTest, RequestsAreAnswered) {
  SimulatedHost host;
  host.start(10, 4, {.equal = 3 * kMB, .registered = true});  // too small to be worth it by itself
  host.start(20, 1, {.equal = 100 * kMB});
  host.run(5);
  ASSERT_EQ(host.bursts, 0);
  const auto ask = [&](pid_t pid) {
    host.now.requests = {pid};
    return text_of(host.look().front());
  };
  EXPECT_EQ(ask(999), "request for 999: declined, no such process, or too small to matter");
  EXPECT_EQ(ask(20), "request for 20: declined, its memory is not registered with KSM");
  EXPECT_EQ(ask(10), "request for 10: accepted, started");
  EXPECT_EQ(host.bursts, 1);
  EXPECT_EQ(ask(11), "request for 11: accepted, joined");
  host.run(5);
  EXPECT_FALSE(host.policy().bursting());
  EXPECT_GE(host.merged(), 11 * kMB);
  EXPECT_THAT(ask(10), testing::StartsWith("request for 10: declined, a burst just ended; again in"));
  host.run(11);
  EXPECT_EQ(ask(10), "request for 10: accepted, started");
}

}  // namespace
}  // namespace samepage
