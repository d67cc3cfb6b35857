#include "linux/elf_file.hpp"

#include <gtest/gtest.h>

namespace samepage {
namespace {

TEST(ReadElf, KnowsThisProgram) {
  const auto facts = read_elf("/proc/self/exe");
  ASSERT_TRUE(facts);
  EXPECT_TRUE(facts->native);
  EXPECT_TRUE(facts->starts_in_libc);
  EXPECT_FALSE(facts->go);
  EXPECT_NE(facts->interpreter.find("ld-linux"), std::string::npos);
}

TEST(ReadElf, RefusesTheRest) {
  EXPECT_FALSE(read_elf("/etc/passwd"));
  EXPECT_FALSE(read_elf("/nowhere"));
}

}  // namespace
}  // namespace samepage
