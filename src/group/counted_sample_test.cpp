#include <gtest/gtest.h>

#include "group/accounts.hpp"

namespace samepage {
namespace {

GroupTotals sample(double time, unsigned copies, std::uint64_t alone) {
  GroupTotals totals;
  totals.time = time;
  totals.copies = copies;
  totals.alone_kb = alone;
  return totals;
}

TEST(CountedSample, IsTheLastNearTheLargest) {
  CountedSample counted;
  EXPECT_TRUE(counted.offer(sample(1, 4, 500)));
  EXPECT_TRUE(counted.offer(sample(2, 4, 1000)));
  EXPECT_TRUE(counted.offer(sample(3, 4, 810)));
  EXPECT_FALSE(counted.offer(sample(4, 4, 790)));  // something large has gone
  EXPECT_EQ(counted.totals()->time, 3);
}

TEST(CountedSample, PrefersMoreCopiesToMoreMemory) {
  CountedSample counted;
  counted.offer(sample(1, 1, 5000));
  EXPECT_TRUE(counted.offer(sample(2, 2, 100)));
  EXPECT_FALSE(counted.offer(sample(3, 1, 9000)));
}

}  // namespace
}  // namespace samepage
