#include "group/output.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

namespace samepage {
namespace {

TEST(LinePrefixer, PutsPiecesTogether) {
  LinePrefixer lines("[1] ");
  EXPECT_EQ(lines.add("one"), "");
  EXPECT_EQ(lines.add(" line\n\nnext"), "[1] one line\n[1] \n");
  EXPECT_EQ(lines.finish(), "[1] next\n");
  EXPECT_EQ(lines.finish(), "");
}

TEST(LinePrefixer, CutsAnEndlessLine) {
  LinePrefixer lines("> ");
  EXPECT_EQ(lines.add(std::string(100'000, 'x')).size(), 100'003u);
}

TEST(Sink, TellsThatTheDiskIsFull) {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  Sink sink(full, "full");
  sink.add("text");
  EXPECT_EQ(sink.write_some(), ENOSPC);
  EXPECT_FALSE(sink.waiting());
  close(full);
}

}  // namespace
}  // namespace samepage
