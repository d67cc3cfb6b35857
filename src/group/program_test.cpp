#include "group/program.hpp"

#include <gmock/gmock.h>

#include <fstream>

#include "linux/test_folder.hpp"
#include "linux/usage_error.hpp"

namespace samepage {
namespace {

using testing::ElementsAre;

class ScriptTest : public testing::Test {
 protected:
  const TestFolder folder;

  std::string script(const std::string& name, const std::string& text) {
    const auto file = folder / name;
    std::ofstream(file) << text;
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
    return file;
  }
};

int status_of(const std::vector<std::string>& command, const std::string& path = "/usr/bin") {
  try {
    resolve_program(command, path);
  } catch (const UsageError& error) {
    return error.status;
  }
  return 0;
}

TEST_F(ScriptTest, StartsTheInterpreterWithTheScriptsName) {
  const std::string file = script("job.sh", "#! /bin/sh -e -u\necho\n");
  const Program program = resolve_program({file, "x"}, "");
  EXPECT_EQ(program.file, "/bin/sh");
  EXPECT_THAT(program.argv, ElementsAre("/bin/sh", "-e -u", file, "x"));
  EXPECT_EQ(program.name, "job.sh");
}

TEST_F(ScriptTest, LooksThroughEnv) {
  const std::string file = script("job", "#!/usr/bin/env perl\n");
  const Program program = resolve_program({file}, "/usr/bin:/bin");
  EXPECT_EQ(program.file.filename(), "perl");
  EXPECT_THAT(program.argv, ElementsAre("perl", file));
  EXPECT_EQ(program.name, "perl");
}

TEST_F(ScriptTest, FollowsScriptsOfScripts) {
  const std::string inner = script("inner", "#!/bin/sh\n");
  const std::string outer = script("outer", "#!" + inner + " one\n");
  EXPECT_THAT(resolve_program({outer, "two"}, "").argv, ElementsAre("/bin/sh", inner, "one", outer, "two"));
}

TEST_F(ScriptTest, EndsWhenAScriptInterpretsItself) {
  const auto file = folder / "loop";
  EXPECT_EQ(status_of({script("loop", "#!" + file.string() + "\n")}), 126);
}

TEST_F(ScriptTest, GivesTextToTheShell) {
  EXPECT_EQ(resolve_program({script("plain", "echo hello\n")}, "/usr/bin:/bin").name, "sh");
}

TEST_F(ScriptTest, TellsMistakesApart) {
  const std::string file = script("locked", "#!/bin/sh\n");
  std::filesystem::permissions(file, std::filesystem::perms::owner_read);
  EXPECT_EQ(status_of({file}), 126);
  EXPECT_EQ(status_of({folder}), 126);
  EXPECT_EQ(status_of({"locked"}, folder), 126);
  EXPECT_EQ(status_of({"absent"}, folder), 127);
  EXPECT_EQ(status_of({folder / "absent"}), 127);
  EXPECT_EQ(status_of({script("orphan", "#!/nowhere/at/all\n")}), 126);
}

TEST(ParseInterpreter, SplitsAsTheKernelAndEnvDo) {
  EXPECT_THAT(parse_interpreter("#!/bin/x").words, ElementsAre("/bin/x"));
  EXPECT_THAT(parse_interpreter("#!/usr/bin/env -S python3 -u").words, ElementsAre("python3", "-u"));
  EXPECT_TRUE(parse_interpreter("#!/usr/bin/env -S python3 -u").in_path);
  for (const char* only_env_can : {"#!/usr/bin/env -S A=1 x", "#!/usr/bin/env -i", "#!/usr/bin/env -S 'a b'"})
    EXPECT_FALSE(parse_interpreter(only_env_can).in_path) << only_env_can;
}

}  // namespace
}  // namespace samepage
