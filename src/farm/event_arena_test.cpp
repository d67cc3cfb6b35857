#include "farm/event_arena.hpp"

#include <gmock/gmock.h>

#include <deque>
#include <random>

namespace samepage::farm {
namespace {

constexpr std::size_t kHead = sizeof(EventHeader);

TEST(EventArena, GivesRoomInOrderAndWrapsAround) {
  EventArena arena(1000, 1000, 1);
  EXPECT_EQ(arena.allocate(400 - kHead), 0u);
  EXPECT_EQ(arena.allocate(400 - kHead), 400u);
  EXPECT_EQ(arena.allocate(400 - kHead), std::nullopt);
  arena.free_oldest();
  EXPECT_EQ(arena.allocate(400 - kHead), 0u);
  EXPECT_EQ(arena.allocate(16), std::nullopt);
}

TEST(EventArena, SmallEventsStayInTheSmallPart) {
  EventArena arena(10000, 1024, 4);
  std::size_t given = 0;
  while (const auto offset = arena.allocate(100)) {
    EXPECT_LT(*offset, 1024u);
    ++given;
  }
  EXPECT_EQ(given, 1024 / 144);
  EXPECT_NE(arena.allocate(5000), std::nullopt);
}

TEST(EventArena, WhatIsLargerThanAllIsRefused) {
  EventArena arena(1000, 1000, 1);
  EXPECT_EQ(arena.allocate(1000), std::nullopt);
  EXPECT_TRUE(arena.empty());
}

TEST(EventArena, NothingOverlaps) {
  EventArena arena(5000, 2000, 3);
  std::mt19937 random(1);
  std::deque<std::pair<std::uint64_t, std::uint64_t>> live;
  for (int i = 0; i < 20000; ++i) {
    const std::size_t size = random() % (random() % 20 == 0 ? 2000 : 200);
    while (true) {
      const auto offset = arena.allocate(size);
      if (!offset) {
        ASSERT_FALSE(live.empty());
        arena.free_oldest();
        live.pop_front();
        continue;
      }
      const std::uint64_t end = *offset + kHead + size;
      ASSERT_LE(end, 5000u);
      ASSERT_EQ(*offset % 16, 0u);
      for (const auto& [other, other_end] : live) ASSERT_TRUE(end <= other || *offset >= other_end);
      live.emplace_back(*offset, end);
      break;
    }
  }
}

}  // namespace
}  // namespace samepage::farm
