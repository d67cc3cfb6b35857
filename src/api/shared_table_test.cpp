#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <samepage/shared_table.hpp>
#include <thread>
#include <vector>

#include "linux/test_folder.hpp"

namespace samepage {
namespace {

using Counts = SharedTable<std::uint64_t, std::uint64_t>;

bool add(Counts& table, std::uint64_t key, std::uint64_t number = 1) {
  return table.update(key, [&](std::uint64_t& count) { count += number; });
}

/// The status with which a forked child ended.
template <class Body>
int child(Body body) {
  const pid_t pid = fork();
  if (pid == 0) _exit(body() ? 0 : 1);
  int status = -1;
  waitpid(pid, &status, 0);
  return status;
}

class TableFile : public testing::Test {
 protected:
  const TestFolder folder_;
  const std::filesystem::path file_ = folder_ / "table";
};

TEST(SharedTable, FindsWhatWasStoredAndNothingElse) {
  Counts table = Counts::anonymous(1000);
  EXPECT_EQ(table.find(7), std::nullopt);
  EXPECT_TRUE(add(table, 7, 5));
  EXPECT_TRUE(add(table, 7, 6));
  EXPECT_EQ(table.find(7), 11u);
  EXPECT_EQ(table.find(8), std::nullopt);
  EXPECT_EQ(table.size(), 1u);
}

TEST(SharedTable, HoldsItsCapacityWhateverTheKeys) {
  for (const std::uint64_t stride : {std::uint64_t{1}, std::uint64_t{4096}, std::uint64_t{1} << 40}) {
    for (const std::size_t capacity : {1, 255, 256, 511, 512, 5000, 100'000}) {
      Counts table = Counts::anonymous(capacity);
      for (std::uint64_t i = 0; i < capacity; ++i)
        ASSERT_TRUE(add(table, i * stride)) << capacity << ' ' << i;
      EXPECT_EQ(table.size(), capacity);
      std::map<std::uint64_t, std::uint64_t> seen;
      table.for_each([&](std::uint64_t key, std::uint64_t count) { seen[key / stride] += count; });
      ASSERT_EQ(seen.size(), capacity);
      EXPECT_EQ(seen.rbegin()->first, capacity - 1);
    }
  }
}

TEST(SharedTable, FullOfOthersRefusesANewKeyAndKeepsTheRest) {
  Counts table = Counts::anonymous(3);
  for (int key : {1, 2, 3}) EXPECT_TRUE(add(table, key));
  EXPECT_FALSE(add(table, 4));
  EXPECT_TRUE(add(table, 2));
  EXPECT_EQ(table.find(4), std::nullopt);
  EXPECT_EQ(table.find(2), 2u);
}

TEST(SharedTable, AnExceptionChangesNothing) {
  Counts table = Counts::anonymous(10);
  EXPECT_TRUE(add(table, 1, 5));
  for (const std::uint64_t key : {1, 2})
    EXPECT_THROW(
        (void)table.update(key, [](std::uint64_t& count) { count = 99, throw std::runtime_error(""); }),
        std::runtime_error);
  EXPECT_EQ(table.find(1), 5u);
  EXPECT_EQ(table.find(2), std::nullopt);
  EXPECT_TRUE(add(table, 1));  // not locked
}

TEST(SharedTable, AnUpdateInsideAnUpdateIsAnErrorAndNoDeadlock) {
  Counts table = Counts::anonymous(10);
  EXPECT_THROW((void)table.update(1, [&](std::uint64_t&) { (void)table.find(1); }), std::logic_error);
}

TEST(SharedTable, ChildrenAndThreadsAddUp) {
  Counts table = Counts::anonymous(1000);
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      std::vector<std::jthread> threads;
      threads.reserve(2);
      for (int thread = 0; thread < 2; ++thread)
        threads.emplace_back([&] {
          for (int n = 0; n < 20'000; ++n) (void)add(table, n % 1000);
        });
      threads.clear();
      _exit(0);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) waitpid(pid, nullptr, 0);
  EXPECT_EQ(table.size(), 1000u);
  table.for_each([](std::uint64_t, std::uint64_t count) { EXPECT_EQ(count, 160u); });
}

TEST(SharedTable, AChildKilledInAnUpdateLeavesTheOldValueAndNoLock) {
  Counts table = Counts::anonymous(10);
  EXPECT_TRUE(add(table, 1, 5));
  for (const std::uint64_t key : {1, 2}) {
    const int status = child([&] {
      return table.update(key, [](std::uint64_t& count) {
        count = 99;
        raise(SIGKILL);
      });
    });
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  EXPECT_EQ(table.find(1), 5u);
  EXPECT_EQ(table.find(2), std::nullopt);
  EXPECT_TRUE(add(table, 2));
  EXPECT_EQ(table.size(), 2u);
}

TEST(SharedTable, ZeroOrTooLargeACapacityIsRefused) {
  EXPECT_THROW(Counts::anonymous(0), std::invalid_argument);
  EXPECT_THROW(Counts::anonymous(~std::size_t{0}), std::invalid_argument);
}

TEST_F(TableFile, KeepsItsEntries) {
  {
    Counts table = Counts::file(file_, 1000);
    EXPECT_TRUE(add(table, 1, 5));
  }
  Counts table = Counts::file(file_, 1000), again = Counts::file(file_, 1000);
  EXPECT_TRUE(add(again, 1));
  EXPECT_EQ(table.find(1), 6u);
  EXPECT_EQ(status(file_).permissions(), std::filesystem::perms(0600));
}

TEST_F(TableFile, IsUsableWhenItsLastUserDiedWithTheLock) {
  child([&] {
    Counts table = Counts::file(file_, 10);
    return table.update(1, [](std::uint64_t&) { raise(SIGKILL); });
  });
  Counts table = Counts::file(file_, 10);
  EXPECT_TRUE(add(table, 1));
  EXPECT_EQ(table.find(1), 1u);
}

TEST_F(TableFile, IsMadeByOneOfManyThatComeTogether) {
  std::vector<pid_t> children;
  for (int i = 0; i < 16; ++i) {
    const pid_t pid = fork();
    if (pid == 0) {
      Counts table = Counts::file(file_, 1000);
      for (int n = 0; n < 1000; ++n) (void)add(table, n);
      _exit(0);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = -1;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
  }
  Counts table = Counts::file(file_, 1000);
  table.for_each([](std::uint64_t, std::uint64_t count) { EXPECT_EQ(count, 16u); });
  EXPECT_EQ(table.size(), 1000u);
}

TEST_F(TableFile, OfAnotherKindIsRefusedAndLeftAsItWas) {
  { (void)Counts::file(file_, 1000); }
  EXPECT_THROW(Counts::file(file_, 2000), std::runtime_error);
  EXPECT_THROW((SharedTable<std::uint32_t, std::uint64_t>::file(file_, 1000)), std::runtime_error);

  const auto size = file_size(file_);
  std::ofstream(file_) << std::string(size, 'x');
  EXPECT_THROW(Counts::file(file_, 1000), std::runtime_error);
  std::ifstream stream(file_);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), std::string(size, 'x'));
  EXPECT_THROW(Counts::file(folder_, 1000), std::system_error);
  EXPECT_THROW(Counts::file(folder_ / "none" / "table", 1000), std::system_error);
}

TEST_F(TableFile, WhoseMakerWasKilledIsMadeAgain) {
  { (void)Counts::file(file_, 1000); }
  const auto size = file_size(file_);
  std::filesystem::resize_file(file_, 0);
  { (void)Counts::file(file_, 1000); }  // before it was reserved
  std::filesystem::resize_file(file_, 0);
  std::filesystem::resize_file(file_, size);  // before it had a header
  Counts table = Counts::file(file_, 1000);
  EXPECT_TRUE(add(table, 1));
}

}  // namespace
}  // namespace samepage
