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

TEST(Strings, EndWithNuls) {
  EXPECT_THAT(parse_strings(std::string("a\0\0b", 4)), testing::ElementsAre("a", "", "b"));
}

}  // namespace
}  // namespace samepage
