#include "farm/dispatch.hpp"

#include <gmock/gmock.h>

#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "farm/bell.hpp"

namespace samepage::farm {
namespace {

struct DispatchTest : testing::Test {
  std::unique_ptr<Dispatch::Memory> memory = std::make_unique<Dispatch::Memory>();
  Dispatch reader{*memory}, worker{*memory}, writer{*memory}, supervisor{*memory};
};

TEST_F(DispatchTest, BlocksAreClaimedInOrderAndOnce) {
  for (std::uint64_t i = 0; i < 3; ++i) reader.publish({i, 1, 0});
  EXPECT_EQ(worker.claim(0), 0u);
  EXPECT_EQ(worker.claim(1), 1u);
  EXPECT_TRUE(worker.something_ready());
  EXPECT_EQ(worker.claim(0), 2u);
  EXPECT_EQ(worker.claim(0), std::nullopt);
  EXPECT_FALSE(worker.something_ready());
}

TEST_F(DispatchTest, ABlockGivenBackIsClaimedBeforeLaterOnes) {
  for (std::uint64_t i = 0; i < 5; ++i) reader.publish({i, 1, 0});
  for (int i = 0; i < 3; ++i) worker.claim(static_cast<unsigned>(i));
  EXPECT_EQ(supervisor.claimed_by(1), 1u);
  supervisor.give_back(1);
  EXPECT_EQ(supervisor.claimed_by(1), std::nullopt);
  EXPECT_EQ(worker.claim(4), 1u);
  EXPECT_EQ(worker.claim(4), 3u);
}

TEST_F(DispatchTest, AWorkerKilledBeforeItMovedTheHintHoldsNobodyUp) {
  for (std::uint64_t i = 0; i < 3; ++i) reader.publish({i, 1, 0});
  worker.claim(0);
  memory->hint = 0;  // as if it had died in between
  EXPECT_EQ(worker.claim(1), 1u);
  EXPECT_EQ(worker.claim(1), 2u);
}

TEST_F(DispatchTest, AHintMovedBackIsNotUndoneByASlowWorker) {
  for (std::uint64_t i = 0; i < 4; ++i) reader.publish({i, 1, 0});
  const std::uint64_t slow = memory->hint;
  worker.claim(0);
  supervisor.give_back(0);
  std::uint64_t expected = slow;
  EXPECT_FALSE(memory->hint.compare_exchange_strong(expected, slow + 2));
  EXPECT_EQ(worker.claim(1), 0u);
}

TEST_F(DispatchTest, WhatTheWriterReceivedIsNotReceivedTwiceNorGivenBack) {
  reader.publish({0, 1, 0});
  worker.claim(3);
  EXPECT_TRUE(writer.receive(0));
  EXPECT_FALSE(writer.receive(0));
  EXPECT_EQ(supervisor.claimed_by(3), std::nullopt);
}

TEST_F(DispatchTest, SlotsAreRecycledInOrder) {
  for (std::uint64_t i = 0; i < Dispatch::kSlots; ++i) reader.publish({i, 1, 0});
  EXPECT_FALSE(reader.has_free_slot());
  worker.claim(0);
  worker.claim(0);
  writer.receive(1);
  EXPECT_FALSE(reader.recycle());
  writer.receive(0);
  EXPECT_TRUE(reader.recycle());
  EXPECT_TRUE(reader.recycle());
  EXPECT_FALSE(reader.recycle());
  EXPECT_TRUE(reader.has_free_slot());
}

TEST_F(DispatchTest, ASleeperIsTakenOnce) {
  worker.set_sleeping(70, true);
  EXPECT_TRUE(reader.someone_may_sleep());
  EXPECT_EQ(reader.take_sleeper(), 70u);
  EXPECT_EQ(reader.take_sleeper(), std::nullopt);
}

TEST_F(DispatchTest, ManyWorkersShareTheBlocksAmongThem) {
  constexpr std::uint64_t kBlocks = 20000;
  constexpr unsigned kWorkers = 3;
  std::vector<std::set<std::uint64_t>> taken(kWorkers);
  {
    std::vector<std::jthread> workers;
    for (unsigned index = 0; index < kWorkers; ++index) {
      workers.emplace_back([&, index] {
        Dispatch mine(*memory);
        while (mine.received() < kBlocks) {
          if (const auto number = mine.claim(index)) {
            taken[index].insert(mine.block(*number).first_index);
            // The test's only writer at a time: receive() is the writer's alone.
            static std::mutex mutex;
            const std::lock_guard lock(mutex);
            mine.receive(*number);
          } else {
            std::this_thread::yield();
          }
        }
      });
    }
    for (std::uint64_t i = 0; i < kBlocks; ++i) {
      while (!reader.has_free_slot())
        if (!reader.recycle()) std::this_thread::yield();
      reader.publish({i, 1, 0});
    }
  }
  std::set<std::uint64_t> all;
  std::size_t sum = 0;
  for (const auto& part : taken) {
    sum += part.size();
    all.insert(part.begin(), part.end());
  }
  EXPECT_EQ(sum, kBlocks);
  EXPECT_EQ(all.size(), kBlocks);
}

TEST(Bell, NoRingIsLost) {
  Bell bell{};
  std::atomic<int> ping = 0, pong = 0;
  Bell back{};
  constexpr int kTimes = 5000;
  std::jthread other([&] {
    for (int i = 1; i <= kTimes; ++i) {
      while (!bell.wait([&] { return ping.load() >= i; })) {
      }
      pong = i;
      back.ring();
    }
  });
  for (int i = 1; i <= kTimes; ++i) {
    ping = i;
    bell.ring();
    while (!back.wait([&] { return pong.load() >= i; })) {
    }
  }
  EXPECT_EQ(pong, kTimes);
}

}  // namespace
}  // namespace samepage::farm
