#include "group/live_accounts.hpp"

#define FMT_HEADER_ONLY
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "linux/test_folder.hpp"

namespace samepage {
namespace {

/// A /proc of this test's own, and clocks that it sets.
class LiveAccountsTest : public testing::Test {
 protected:
  ~LiveAccountsTest() override { std::filesystem::remove_all(root_); }

  void process(pid_t pid, const std::string& name, unsigned faults, unsigned private_kb, unsigned stack = 7) {
    const auto folder = root_ / std::to_string(pid);
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "stat") << fmt::format(
        "{} ({}) S 1 1 1 0 -1 0 {} 0 0 0 1 1 0 0 20 0 1 0 {} 9000000 500 18446744073709551615 11 9 {} 0 0 "
        "0\n",
        pid, name, faults, pid * 10, stack);
    std::ofstream(folder / "status") << "Uid:\t4000000\t0\t0\t0\nVmRSS:\t2000 kB\nVmPTE:\t40 kB\n";
    std::ofstream(folder / "cmdline") << name << '\0';
    std::ofstream(folder / "smaps_rollup") << fmt::format(
        "Rss: 2000 kB\nPss: 1000 kB\nPrivate_Dirty: {} kB\nShared_Dirty: 1500 kB\nSwapPss: 5 kB\n",
        private_kb);
    std::ofstream(folder / "ksm_stat") << "ksm_rmap_items 160\nksm_merging_pages 3\n";
  }
  void gone(pid_t pid) { std::filesystem::remove_all(root_ / std::to_string(pid)); }

  LiveSample after(double seconds) {
    now_ += seconds;
    return accounts_.sample();
  }
  static std::uint64_t private_of(const LiveSample& sample, pid_t pid) {
    for (const LiveGroup& group : sample.groups)
      for (const LiveProcess* process : group.processes)
        if (process->pid == pid) return process->share.private_kb;
    return 0;
  }

  const TestFolder root_;
  ProcFs proc_{root_};
  double now_ = 1000, cpu_ = 0, cost_ = 0;
  std::function<bool(const LiveProcess&, const LiveAccounts::Table&)> meant_ = [](const auto&, const auto&) {
    return true;
  };
  // Each time that it is asked, `cost_` has been used: once for a stock, once for a process.
  LiveAccounts accounts_{proc_,
                         [this](const auto& process, const auto& table) { return meant_(process, table); },
                         0.01, [this] { return now_; }, [this] { return cpu_ += cost_; }};
};

TEST_F(LiveAccountsTest, SumsOneProgramOfOneUser) {
  process(10, "job", 1, 500);
  process(11, "job: worker 3", 1, 700);
  process(12, "other", 1, 100);
  const LiveSample sample = after(0);
  ASSERT_EQ(sample.groups.size(), 3u);  // by name, where the programs' files are hidden
  process(11, "job", 1, 700, 8);
  const LiveSample again = after(10);
  ASSERT_EQ(again.groups.size(), 2u);
  const LiveGroup& jobs = again.groups[0];
  EXPECT_EQ(jobs.name, "job");
  EXPECT_EQ(jobs.user, "4000000");
  EXPECT_EQ(jobs.processes.size(), 2u);
  EXPECT_EQ(jobs.together_kb, 2 * (1000 + 5 + 40 + 10));
  EXPECT_EQ(jobs.alone_kb, 4000u);
  EXPECT_EQ(jobs.now_private_kb, 1200u);
  EXPECT_EQ(again.processes, 3u);
}

TEST_F(LiveAccountsTest, LooksAgainAtWhatFaulted) {
  process(10, "job", 1, 500);
  process(11, "other", 1, 500);
  after(0);
  process(10, "job", 2, 600);
  process(11, "other", 1, 600);
  const LiveSample sample = after(1);
  EXPECT_EQ(private_of(sample, 10), 600u);
  EXPECT_EQ(private_of(sample, 11), 500u);
  EXPECT_EQ(private_of(after(5), 11), 600u);  // it did nothing, but others may have
}

TEST_F(LiveAccountsTest, LooksAgainAtAGroupThatLostAProcess) {
  process(10, "job", 1, 500);
  process(11, "job", 1, 500);
  after(0);
  gone(11);
  process(10, "job", 1, 900);
  EXPECT_EQ(private_of(after(1), 10), 900u);
}

TEST_F(LiveAccountsTest, NoMoreThanTheShareIsUsed) {
  for (pid_t pid = 10; pid < 20; ++pid) process(pid, "job", 1, 500);
  cost_ = 0.002;
  after(0);
  const auto seen = [&](const LiveSample& sample) {
    std::size_t count = 0;
    for (pid_t pid = 10; pid < 20; ++pid) count += private_of(sample, pid) == 600;
    return count;
  };
  for (pid_t pid = 10; pid < 20; ++pid) process(pid, "job", 2, 600);
  EXPECT_EQ(seen(after(1)), 4u);  // 10 ms, of which the stock took 2, at 2 ms each
  EXPECT_EQ(seen(after(1)), 8u);
  EXPECT_EQ(seen(after(1)), 10u);
}

TEST_F(LiveAccountsTest, WhatALookCostTooMuchIsPaidBack) {
  process(10, "job", 1, 500);
  cost_ = 0.028;
  after(0);
  process(10, "job", 2, 600);
  EXPECT_EQ(private_of(after(100), 10), 600u);  // 20 ms were saved up at most
  process(10, "job", 3, 700);
  cost_ = 0.001;
  EXPECT_EQ(private_of(after(0.5), 10), 600u);
  EXPECT_EQ(private_of(after(1), 10), 700u);
}

TEST_F(LiveAccountsTest, AnExecAsksAgainWhetherItIsMeant) {
  meant_ = [](const LiveProcess& process, const auto&) { return process.name == "job"; };
  process(10, "sh", 1, 500, 7);
  EXPECT_EQ(after(0).processes, 0u);
  process(10, "job", 1, 500, 8);
  EXPECT_EQ(after(1).processes, 1u);
}

TEST_F(LiveAccountsTest, AKernelThreadAndAZombieAreNone) {
  process(10, "job", 1, 500);
  std::filesystem::create_directories(root_ / "2");
  std::ofstream(root_ / "2" / "stat")
      << "2 (kthreadd) S 0 0 0 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 1 0 0 1 0 0 0 0\n";
  EXPECT_EQ(after(0).processes, 1u);
  std::ofstream(root_ / "10" / "stat")
      << "10 (job) Z 1 1 1 0 -1 0 1 0 0 0 1 1 0 0 20 0 1 0 100 0 0 1 0 0 0 0\n";
  EXPECT_EQ(after(1).processes, 0u);
}

TEST_F(LiveAccountsTest, RemembersThePrivateMemory) {
  process(10, "job", 1, 500);
  after(0);
  process(10, "job", 2, 600);
  const LiveSample sample = after(1);
  EXPECT_THAT(sample.groups[0].private_kb, testing::ElementsAre(500, 600));
  EXPECT_THAT(sample.groups[0].processes[0]->private_kb, testing::ElementsAre(500, 600));
}

TEST(CommonName, IsWhatComesBeforeTheTitle) {
  EXPECT_EQ(common_name("gunicorn: worke"), "gunicorn");
  EXPECT_EQ(common_name("kworker/0:1"), "kworker");
  EXPECT_EQ(common_name("(sd-pam)"), "(sd-pam)");
  EXPECT_EQ(common_name("python3.11"), "python3.11");
}

}  // namespace
}  // namespace samepage
