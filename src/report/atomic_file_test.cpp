#include "report/atomic_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "linux/test_folder.hpp"
#include "linux/unique_fd.hpp"
#include "linux/usage_error.hpp"

namespace samepage {
namespace {

TEST(WriteAtomically, ReplacesAndLeavesNothingBeside) {
  const TestFolder folder;
  write_atomically(folder / "a", "old");
  write_atomically(folder / "a", "new");
  std::ifstream stream(folder / "a");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::filesystem::create_directories(folder / "taken" / "inside");
  EXPECT_THROW(write_atomically(folder / "taken", "x"), UsageError);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 2);
}

TEST(WriteAtomically, WritesToWhatIsNoFile) {
  const TestFolder folder;
  const auto pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const UniqueFd reader(open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  write_atomically(pipe, "text");
  char got[8];
  EXPECT_EQ(read(reader.get(), got, sizeof got), 4);
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_THROW(write_atomically("/dev/full", "text"), UsageError);
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST(WriteAtomically, KeepsALink) {
  const TestFolder folder;
  std::ofstream(folder / "file") << "old";
  std::filesystem::create_symlink("file", folder / "link");
  write_atomically(folder / "link", "new");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  std::ifstream stream(folder / "file");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(stream), {}), "new");
}

TEST(ExpectWritable, KnowsBeforehand) {
  EXPECT_NO_THROW(expect_writable("new.json"));
  EXPECT_NO_THROW(expect_writable("/dev/null"));
  EXPECT_THROW(expect_writable("/nowhere/new.json"), UsageError);
  EXPECT_THROW(expect_writable("/tmp"), UsageError);
}

}  // namespace
}  // namespace samepage
