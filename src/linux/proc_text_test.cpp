#include "linux/proc_text.hpp"

#include <gmock/gmock.h>

namespace samepage {
namespace {

TEST(ProcStatText, TakesANameWithBlanksAndParentheses) {
  const auto stat = parse_proc_stat(
      "5189 (a) (b c) S 5186 5189 5186 0 -1 4194304 112 0 0 0 1 2 0 0 20 0 1 0 987654 3133440 437 "
      "18446744073709551615 94723003 94723999 140735 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 1 2 3 4 5 6 7 0\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->pid, 5189);
  EXPECT_EQ(stat->comm, "a) (b c");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->ppid, 5186);
  EXPECT_EQ(stat->start_time, 987654u);
  EXPECT_EQ(stat->minor_faults, 112u);
  EXPECT_EQ(stat->memory_size, 3133440u);
  EXPECT_EQ(stat->rss_pages, 437u);
  EXPECT_EQ(stat->start_code, 94723003u);
  EXPECT_EQ(stat->start_stack, 140735u);
}

TEST(ProcStatText, RefusesWhatIsCutShort) {
  for (const char* text : {"", "12", "12 (x", "12 )x(", "12 (x) S", "12 (x) S 1 2 3"})
    EXPECT_FALSE(parse_proc_stat(text)) << text;
}

TEST(ProcStatusText, LeavesAbsentWhatAZombieLacks) {
  const auto status = parse_proc_status("Name:\tcat\nState:\tZ (zombie)\nThreads:\t1\n");
  EXPECT_FALSE(status.vm_rss);
  EXPECT_EQ(parse_proc_status("VmHWM:\t    1748 kB\nVmPTE:\t      48 kB\n").vm_hwm, 1748u);
}

constexpr const char* kRollup61 =
    "562ad9575000-7ffead7f0000 ---p 00000000 00:00 0                          [rollup]\n"
    "Rss:                1728 kB\nPss:                 383 kB\nPss_Dirty:           112 kB\n"
    "Pss_Anon:            112 kB\nPss_File:            271 kB\nPss_Shmem:             0 kB\n"
    "Shared_Clean:       1556 kB\nShared_Dirty:          0 kB\nPrivate_Clean:        60 kB\n"
    "Private_Dirty:       112 kB\nReferenced:         1728 kB\nAnonymous:           112 kB\n"
    "LazyFree:              0 kB\nSwap:                  0 kB\nSwapPss:               4 kB\n";

TEST(SmapsRollupText, OfLinux61HasNoKsm) {
  const auto rollup = parse_smaps_rollup(kRollup61);
  ASSERT_TRUE(rollup);
  EXPECT_EQ(rollup->rss, 1728u);
  EXPECT_EQ(rollup->pss, 383u);
  EXPECT_EQ(rollup->private_clean + rollup->private_dirty, 172u);
  EXPECT_EQ(rollup->swap_pss, 4u);
  EXPECT_FALSE(rollup->ksm);
  EXPECT_EQ(parse_smaps_rollup(kRollup61 + std::string("KSM:   8 kB\n"))->ksm, 8u);
  EXPECT_FALSE(parse_smaps_rollup("Rss: 1 kB\n"));
}

TEST(KsmStatText, OfLinux61HasItemsAlone) {
  const auto old_stat = parse_ksm_stat("ksm_rmap_items 76\n");
  EXPECT_EQ(old_stat.rmap_items, 76u);
  EXPECT_FALSE(old_stat.merging_pages);
  EXPECT_EQ(parse_ksm_stat("ksm_rmap_items 0\nksm_merging_pages 9\nksm_merge_any: no\n").merging_pages, 9u);
}

TEST(MemInfoText, OfAnOldKernelHasNoAvailable) {
  const auto info =
      parse_meminfo("MemTotal:       24684096 kB\nMemFree:  1 kB\nShmem:   276 kB\nSwapTotal: 0 kB\n");
  EXPECT_EQ(info.total, 24684096u);
  EXPECT_EQ(info.shmem, 276u);
  EXPECT_EQ(info.swap_total, 0u);
  EXPECT_FALSE(info.available);
}

TEST(PressureText, OfTheProcessorMayLackFull) {
  const auto both = parse_pressure(
      "some avg10=2.02 avg60=2.04 avg300=1.06 total=22187982\n"
      "full avg10=0.58 avg60=0.56 avg300=0.37 total=17549234\n");
  EXPECT_EQ(both.some, 2.02);
  EXPECT_EQ(both.full, 0.58);
  const auto some = parse_pressure("some avg10=68.71 avg60=48.35 avg300=30.37 total=257575800\n");
  EXPECT_EQ(some.some, 68.71);
  EXPECT_FALSE(some.full);
  EXPECT_FALSE(parse_pressure("some avg10=").some);
}

TEST(Strings, EndWithNuls) {
  EXPECT_THAT(parse_strings(std::string("a\0\0b", 4)), testing::ElementsAre("a", "", "b"));
}

TEST(KsmStat, OfLinux618AndOf61) {
  const KsmStat now = parse_ksm_stat(
      "ksm_rmap_items 65\nksm_zero_pages 3\nksm_merging_pages 0\nksm_process_profit -4160\n"
      "ksm_merge_any: no\nksm_mergeable: yes\n");
  EXPECT_EQ(now.rmap_items, 65u);
  EXPECT_EQ(now.zero_pages, 3u);
  EXPECT_EQ(now.merging_pages, 0u);
  EXPECT_EQ(now.process_profit, -4160);
  EXPECT_EQ(now.merge_any, false);
  EXPECT_EQ(now.mergeable, true);
  const KsmStat then = parse_ksm_stat("ksm_rmap_items 65\n");
  EXPECT_EQ(then.rmap_items, 65u);
  EXPECT_FALSE(then.zero_pages || then.process_profit || then.merge_any || then.mergeable);
}

TEST(ProcStat, AKernelThread) {
  EXPECT_TRUE(
      parse_proc_stat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 25 0 0")->kernel_thread);
  EXPECT_FALSE(parse_proc_stat("9 (sh) S 1 9 9 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 25 0 0")->kernel_thread);
}

}  // namespace
}  // namespace samepage
