#include "ksm/lease.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <map>

#include "ksm/burst.hpp"
#include "linux/test_folder.hpp"

namespace samepage {
namespace {

constexpr std::uint64_t kGiB = 1 << 30;

using Settings = std::map<std::string, std::string>;

const Settings kDefaults = {{"run", "0"},
                            {"pages_to_scan", "100"},
                            {"sleep_millisecs", "20"},
                            {"advisor_mode", "none"},
                            {"smart_scan", "1"}};
const Settings kFast = {{"run", "1"},
                        {"pages_to_scan", "20000"},
                        {"sleep_millisecs", "5"},
                        {"advisor_mode", "none"},
                        {"smart_scan", "0"}};

/// A folder in the place of sysfs, and a /proc that knows of no ksmd, so that the real one is never touched.
class KsmLeaseTest : public ::testing::Test {
 protected:
  KsmLeaseTest() {
    places_ = {root_ / "ksm", root_ / "proc", root_ / "run"};
    std::filesystem::create_directory(places_.sysfs);
    std::filesystem::create_directory(places_.proc);
    show_process(::getpid());
    put(kDefaults);
    put({{"full_scans", "0"}});
  }

  void show_process(pid_t pid) {
    std::string name = std::to_string(pid);
    std::filesystem::create_directory_symlink("/proc/" + name, places_.proc / name);
  }
  void put(const Settings& settings) {
    for (const auto& [name, value] : settings) std::ofstream(places_.sysfs / name) << value;
  }
  Settings settings() {
    Settings found;
    for (const auto& [name, value] : kDefaults) {
      std::ifstream in(places_.sysfs / name);
      found[name] = {std::istreambuf_iterator<char>(in), {}};
    }
    return found;
  }

  KsmLease take() {
    std::string why_not;
    std::optional<KsmLease> lease = KsmLease::take(why_not, places_);
    EXPECT_TRUE(lease) << why_not;
    return std::move(*lease);
  }
  static void begin_burst(KsmLease& lease) {
    for (double seconds : {0., 5.}) lease.tick({seconds, kGiB, 0});
    EXPECT_TRUE(lease.bursting());
  }

  /// A child that takes a lease, bursts, and waits until it is told to end it, or killed.
  class OtherRun {
   public:
    explicit OtherRun(KsmLeaseTest& test) {
      int ready[2], leave[2];
      EXPECT_EQ(::pipe(ready), 0);
      EXPECT_EQ(::pipe(leave), 0);
      pid_ = ::fork();
      if (pid_ == 0) {
        ::close(leave[1]);
        test.show_process(::getpid());
        {
          KsmLease lease = test.take();
          begin_burst(lease);
          char byte = 1;
          if (::write(ready[1], &byte, 1) != 1 || ::read(leave[0], &byte, 1) < 0) ::_exit(1);
        }
        ::_exit(0);
      }
      ::close(ready[1]);
      ::close(leave[0]);
      char byte;
      EXPECT_EQ(::read(ready[0], &byte, 1), 1);
      ::close(ready[0]);
      leave_ = leave[1];
    }
    void leave() {
      ::close(leave_);
      ::waitpid(pid_, nullptr, 0);
    }
    /// Stays a zombie, as under a parent that does not wait.
    void kill() {
      ::kill(pid_, SIGKILL);
      siginfo_t info;
      ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT);
    }

   private:
    pid_t pid_;
    int leave_;
  };

  const TestFolder root_;
  KsmPlaces places_;
};

TEST_F(KsmLeaseTest, ChangesNothingUntilABurst) {
  KsmLease lease = take();
  EXPECT_EQ(settings(), kDefaults);
  begin_burst(lease);
  EXPECT_EQ(settings(), kFast);
}

TEST_F(KsmLeaseTest, PutsBackAtTheEndOfABurstAndOfTheLease) {
  {
    KsmLease lease = take();
    begin_burst(lease);
    put({{"full_scans", "100"}});
    lease.tick({6, kGiB, 0});
    EXPECT_FALSE(lease.bursting());
    EXPECT_EQ(settings(), kDefaults);
    lease.tick({7, 2 * kGiB, 0});
    lease.tick({10, 2 * kGiB, 0});
    EXPECT_EQ(settings(), kFast);
  }
  EXPECT_EQ(settings(), kDefaults);
  EXPECT_FALSE(KsmLedger::exists(places_.run));
}

TEST_F(KsmLeaseTest, AMovedLeaseEndsOnce) {
  KsmLease lease = take();
  begin_burst(lease);
  {
    KsmLease moved = std::move(lease);
    EXPECT_EQ(settings(), kFast);
  }
  EXPECT_EQ(settings(), kDefaults);
  put(kFast);  // by somebody else from now on
  { KsmLease gone = std::move(lease); }
  EXPECT_EQ(settings(), kFast);
}

TEST_F(KsmLeaseTest, TheLastOfTwoRestores) {
  OtherRun other(*this);
  {
    KsmLease lease = take();
    begin_burst(lease);
    other.leave();
    EXPECT_EQ(settings(), kFast);
  }
  EXPECT_EQ(settings(), kDefaults);
}

TEST_F(KsmLeaseTest, TheFirstOfTwoLeavesItOn) {
  OtherRun other(*this);
  {
    KsmLease lease = take();
    begin_burst(lease);
  }
  EXPECT_EQ(settings(), kFast);
  other.leave();
  EXPECT_EQ(settings(), kDefaults);
}

TEST_F(KsmLeaseTest, AKillIsRepairedByTheNextStart) {
  OtherRun(*this).kill();
  EXPECT_EQ(settings(), kFast);
  KsmLease::repair(places_);
  EXPECT_EQ(settings(), kDefaults);
  EXPECT_FALSE(KsmLedger::exists(places_.run));
}

TEST_F(KsmLeaseTest, RepairLeavesTheLivingAlone) {
  OtherRun other(*this);
  KsmLease::repair(places_);
  EXPECT_EQ(settings(), kFast);
  other.leave();
  EXPECT_EQ(settings(), kDefaults);
}

TEST_F(KsmLeaseTest, ABurstAfterAKillRecordsWhatWasThereBefore) {
  KsmLease lease = take();
  OtherRun(*this).kill();
  begin_burst(lease);
  EXPECT_EQ(settings(), kFast);
  { KsmLease ended = std::move(lease); }
  EXPECT_EQ(settings(), kDefaults);
}

TEST_F(KsmLeaseTest, APidThatWasUsedAgainIsNoHolder) {
  std::string why_not;
  KsmLedger::open(places_.run, why_not)->save({{{::getpid(), 12345}}, {{"pages_to_scan", "100", "20000"}}});
  put(kFast);
  KsmLease::repair(places_);
  EXPECT_EQ(settings().at("pages_to_scan"), "100");
}

TEST_F(KsmLeaseTest, WhatAThirdPartyChangedStays) {
  {
    KsmLease lease = take();
    begin_burst(lease);
    put({{"run", "0"}, {"pages_to_scan", "555"}});
  }
  EXPECT_EQ(settings(), (Settings{{"run", "0"},
                                  {"pages_to_scan", "555"},
                                  {"sleep_millisecs", "20"},
                                  {"advisor_mode", "none"},
                                  {"smart_scan", "1"}}));
}

TEST_F(KsmLeaseTest, KsmThatWasOnStaysOn) {
  put({{"run", "1"}, {"sleep_millisecs", "200"}});
  Settings before = settings();
  {
    KsmLease lease = take();
    begin_burst(lease);
    EXPECT_EQ(settings(), kFast);
  }
  EXPECT_EQ(settings(), before);
}

TEST_F(KsmLeaseTest, AFasterPaceStays) {
  put({{"run", "1"}, {"pages_to_scan", "50000"}, {"sleep_millisecs", "10"}});
  Settings expected = settings();
  expected["smart_scan"] = "0";  // is no question of pace
  KsmLease lease = take();
  begin_burst(lease);
  EXPECT_EQ(settings(), expected);
}

TEST_F(KsmLeaseTest, TheAdvisorComesBackLast) {
  put({{"advisor_mode", "none [scan-time]\n"}});
  KsmKnobs knobs(places_.sysfs, places_.proc);
  std::vector<KsmChange> changes = changes_for_burst(knobs);
  // Its first change, undone as the last: while the advisor runs, pages_to_scan is locked.
  ASSERT_FALSE(changes.empty());
  EXPECT_EQ(changes.front().knob, "advisor_mode");
  {
    KsmLease lease = take();
    begin_burst(lease);
    EXPECT_EQ(settings(), kFast);
  }
  EXPECT_EQ(settings().at("advisor_mode"), "scan-time");
}

TEST_F(KsmLeaseTest, WorksWithoutTheFilesOfNewerKernels) {
  std::filesystem::remove(places_.sysfs / "advisor_mode");
  {
    KsmLease lease = take();
    begin_burst(lease);
    EXPECT_EQ(settings().at("run"), "1");
  }
  EXPECT_EQ(settings().at("run"), "0");
  EXPECT_FALSE(std::filesystem::exists(places_.sysfs / "advisor_mode"));
}

TEST_F(KsmLeaseTest, IsRefusedInOneLine) {
  auto refusal = [&] {
    std::string why_not;
    EXPECT_FALSE(KsmLease::take(why_not, places_));
    return why_not;
  };
  put({{"run", "2"}});
  EXPECT_EQ(refusal(), "KSM was switched off for this host (run is 2); equal pages are not merged");
  put({{"run", "0"}});
  std::string why_not;
  KsmLedger::open(places_.run, why_not);
  std::ofstream(places_.run / "ksm.json") << R"({"version": 2})";
  EXPECT_EQ(refusal(), places_.run.native() +
                           "/ksm.json is damaged or of another version of samepage; KSM is left as it is");
  KsmLease::repair(places_);
  EXPECT_TRUE(KsmLedger::exists(places_.run));
  std::filesystem::remove_all(places_.sysfs);
  EXPECT_EQ(refusal(), "this kernel has no KSM; equal pages are not merged");
}

TEST_F(KsmLeaseTest, AForkedChildEndsNothing) {
  KsmLease lease = take();
  begin_burst(lease);
  pid_t child = ::fork();
  if (child == 0) {
    { KsmLease copy = std::move(lease); }
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(settings(), kFast);
}

}  // namespace
}  // namespace samepage
