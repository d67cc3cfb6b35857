#include "report/atomic_file.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "linux/usage_error.hpp"

namespace samepage {
namespace {

TEST(WriteAtomically, ReplacesAndLeavesNothingBeside) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "atomic_file_test";
  std::filesystem::create_directories(folder);
  write_atomically(folder / "a", "old");
  write_atomically(folder / "a", "new");
  std::ifstream stream(folder / "a");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::filesystem::create_directories(folder / "taken" / "inside");
  EXPECT_THROW(write_atomically(folder / "taken", "x"), UsageError);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 2);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace samepage
