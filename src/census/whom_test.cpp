#include "census/whom.hpp"

#include <gtest/gtest.h>

namespace samepage {
namespace {

bool called(const std::string& wanted, const std::vector<std::string>& words) {
  return is_called(wanted, "name", words);
}

TEST(IsCalled, ByItsNameOrItsProgram) {
  EXPECT_TRUE(called("name", {}));
  EXPECT_TRUE(called("reco", {"/opt/bin/reco", "--events", "9"}));
  EXPECT_FALSE(called("rec", {"/opt/bin/reco"}));
}

TEST(IsCalled, ByTheScriptThatItsInterpreterRuns) {
  EXPECT_TRUE(called("gunicorn", {"/usr/bin/python3", "/usr/bin/gunicorn", "app:app"}));
  EXPECT_TRUE(called("gunicorn", {"python3.11", "-m", "gunicorn", "app:app"}));
  EXPECT_TRUE(called("job.pl", {"perl", "-w", "job.pl"}));
  EXPECT_TRUE(called("python3.11", {"python3.11", "-m", "gunicorn"}));
  EXPECT_FALSE(called("app:app", {"/usr/bin/python3", "/usr/bin/gunicorn", "app:app"}));
}

TEST(IsCalled, NotByWhatAnotherProgramIsGiven) {
  EXPECT_FALSE(called("gunicorn", {"vim", "/usr/bin/gunicorn"}));
  EXPECT_FALSE(called("gunicorn", {"sh", "-c", "gunicorn"}));
  EXPECT_FALSE(called("", {"python3", "-m"}) || called("", {"python3"}));
}

}  // namespace
}  // namespace samepage
