#include "ksm/pace.hpp"

#include <gtest/gtest.h>

namespace samepage {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

/// A group whose memory merges while a burst is on: a pass takes one tick, and what was registered when the
/// pass before the last began is merged by it.
class PaceTest : public ::testing::Test {
 protected:
  static constexpr double kTick = 0.5;

  /// One tick with so much memory in the group, of which `duplicate` can be merged.
  bool tick(std::uint64_t anonymous, std::uint64_t duplicate) {
    seconds_ += kTick;
    if (burst_) {
      ++full_scans_;
      merged_ = seen_twice_;
      seen_twice_ = seen_once_;
      seen_once_ = duplicate;
    }
    burst_ = pace_.next({seconds_, anonymous, std::min(merged_, anonymous), full_scans_});
    if (burst_) ++ticks_in_burst_;
    return burst_;
  }

  void run(double seconds, std::uint64_t anonymous, std::uint64_t duplicate) {
    for (double end = seconds_ + seconds; seconds_ < end;) tick(anonymous, duplicate);
  }

  KsmPace pace_;
  double seconds_ = 1000;
  std::uint64_t merged_ = 0, seen_once_ = 0, seen_twice_ = 0, full_scans_ = 7;
  int ticks_in_burst_ = 0;
  bool burst_ = false;
};

TEST_F(PaceTest, WaitsWhileTheGroupGrows) {
  for (int i = 1; i <= 20; ++i) EXPECT_FALSE(tick(i * 100 * kMiB, i * 75 * kMiB));
  run(KsmPaceRules().quiet + kTick, 2000 * kMiB, 1500 * kMiB);
  EXPECT_TRUE(burst_);
}

TEST_F(PaceTest, AGroupThatNeverStopsGrowingIsMergedAllTheSame) {
  int i = 1;
  for (; i * kTick < KsmPaceRules().longest_wait; ++i) ASSERT_FALSE(tick(i * 100 * kMiB, 0)) << "tick " << i;
  EXPECT_TRUE(tick(i * 100 * kMiB, 0) || tick((i + 1) * 100 * kMiB, 0));
}

TEST_F(PaceTest, StopsWhenAllIsMerged) {
  run(30, 2000 * kMiB, 1500 * kMiB);
  EXPECT_FALSE(burst_);
  EXPECT_EQ(merged_, 1500 * kMiB);
  EXPECT_LE(ticks_in_burst_, 8);
}

TEST_F(PaceTest, StopsSoonWhenNothingIsEqual) {
  run(30, 2000 * kMiB, 0);
  EXPECT_FALSE(burst_);
  EXPECT_LE(ticks_in_burst_, 4);
}

TEST_F(PaceTest, UniqueMemoryStartsNoFurtherBurst) {
  run(30, 2000 * kMiB, 100 * kMiB);
  ticks_in_burst_ = 0;
  run(600, 2010 * kMiB, 100 * kMiB);
  EXPECT_EQ(ticks_in_burst_, 0);
}

TEST_F(PaceTest, StartsAgainForGrowthWorthIt) {
  run(30, 2000 * kMiB, 1500 * kMiB);
  ASSERT_FALSE(burst_);
  run(30, 2400 * kMiB, 1800 * kMiB);
  EXPECT_FALSE(burst_);
  EXPECT_EQ(merged_, 1800 * kMiB);
}

TEST_F(PaceTest, ACopyThatReplacesAnotherIsMergedToo) {
  run(30, 2000 * kMiB, 2000 * kMiB);
  ASSERT_EQ(merged_, 2000 * kMiB);
  // One of four ends, and its successor has merged nothing yet: the sum is the same.
  merged_ = seen_once_ = seen_twice_ = 1500 * kMiB;
  ticks_in_burst_ = 0;
  run(30, 2000 * kMiB, 2000 * kMiB);
  EXPECT_GT(ticks_in_burst_, 0);
  EXPECT_EQ(merged_, 2000 * kMiB);
}

TEST_F(PaceTest, MemoryThatCameAtABurstsEndIsNotTakenForUnique) {
  while (!tick(2000 * kMiB, 1500 * kMiB)) continue;
  while (merged_ < 1500 * kMiB) tick(2000 * kMiB, 1500 * kMiB);
  // A third copy loads its data while the last passes go over the first two.
  while (burst_) tick(3000 * kMiB, 2500 * kMiB);
  ASSERT_LT(merged_, 2500 * kMiB) << "the simulation does not show what it is for";
  run(10, 3000 * kMiB, 2500 * kMiB);
  EXPECT_EQ(merged_, 2500 * kMiB);
}

TEST_F(PaceTest, ASmallGroupIsNotWorthIt) {
  run(60, 6 * kMiB, 4 * kMiB);
  EXPECT_EQ(ticks_in_burst_, 0);
}

TEST_F(PaceTest, GivesUpWhenKsmdDoesNothing) {
  KsmPaceSample sample{.seconds = 1000, .anonymous_bytes = 500 * kMiB, .merged_bytes = 0, .full_scans = 7};
  while (!pace_.next(sample)) sample.seconds += kTick;
  double begun = sample.seconds;
  while (pace_.next(sample)) sample.seconds += kTick;
  EXPECT_DOUBLE_EQ(sample.seconds - begun, KsmPaceRules().patience);
}

TEST_F(PaceTest, MoreMergedThanMemoryIsNoUnderflow) {
  // With the host's counters in the place of the group's, others' pages are in them.
  EXPECT_FALSE(pace_.next({.seconds = 1, .anonymous_bytes = 10 * kMiB, .merged_bytes = 900 * kMiB}));
  EXPECT_FALSE(pace_.next({.seconds = 100, .anonymous_bytes = 10 * kMiB, .merged_bytes = 900 * kMiB}));
}

}  // namespace
}  // namespace samepage
