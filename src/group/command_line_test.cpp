#include "group/command_line.hpp"

#include <gmock/gmock.h>

#include "linux/usage_error.hpp"

namespace samepage {
namespace {

using testing::ElementsAre;

TEST(ArgumentsOfCopy, ReplacesEveryMention) {
  EXPECT_THAT(arguments_of_copy({"p", "{rank}-{rank}", "--of={copies}", "{other}"}, 3, 12),
              ElementsAre("p", "3-3", "--of=12", "{other}"));
}

TEST(SplitWords, SplitsAsAShell) {
  EXPECT_THAT(split_words("  a 'b c' \"d \\\" e\" f\\ g '' x\"y\"z "),
              ElementsAre("a", "b c", "d \" e", "f g", "", "xyz"));
  EXPECT_THAT(split_words(" \t"), ElementsAre());
}

TEST(SplitWords, RefusesAnOpenQuote) {
  EXPECT_THROW(split_words("a 'b"), UsageError);
}

}  // namespace
}  // namespace samepage
