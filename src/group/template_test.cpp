#include "group/template.hpp"

#include <gmock/gmock.h>

namespace samepage {
namespace {

TEST(ForkObstacle, NamesWhatAForkWouldLose) {
  EXPECT_FALSE(fork_obstacle(1, false, {"/dev/null", "pipe:[7]"}));
  EXPECT_THAT(*fork_obstacle(2, false, {}), testing::HasSubstr("thread"));
  EXPECT_THAT(*fork_obstacle(1, true, {}), testing::HasSubstr("timers"));
  EXPECT_THAT(*fork_obstacle(1, false, {"anon_inode:[io_uring]"}), testing::HasSubstr("io_uring"));
}

TEST(AppendPreload, PutsTheLibraryLast) {
  std::vector<std::string> environment{"LD_PRELOAD=/heap.so", "A=1"};
  append_preload(environment, "/group.so");
  EXPECT_THAT(environment, testing::ElementsAre("A=1", "LD_PRELOAD=/heap.so:/group.so"));
  environment = {"A=1"};
  append_preload(environment, "/group.so");
  EXPECT_THAT(environment, testing::ElementsAre("A=1", "LD_PRELOAD=/group.so"));
}

}  // namespace
}  // namespace samepage
