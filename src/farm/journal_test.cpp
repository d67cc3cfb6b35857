#include "farm/journal.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "linux/test_folder.hpp"
#include "samepage/farm.hpp"

namespace samepage::farm {
namespace {

struct JournalTest : testing::Test {
  const TestFolder folder;
  std::filesystem::path file = folder / "journal";
  Journal journal{file, "this job"};
  Committed state{12, 1, 99, "sink's token", std::string("merged\0bytes", 12), false, {{14, 2, "early"}}};

  ~JournalTest() override { journal.remove(); }
  void put(const std::string& content) { std::ofstream(file, std::ios::binary) << content; }
};

TEST_F(JournalTest, ReadsWhatWasWritten) {
  EXPECT_EQ(journal.read(), std::nullopt);
  journal.write(state);
  EXPECT_EQ(journal.read(), state);
  state.complete = true;
  journal.write(state);
  EXPECT_EQ(journal.read(), state);
  journal.remove();
  EXPECT_EQ(journal.read(), std::nullopt);
}

TEST_F(JournalTest, RefusesAnotherJobs) {
  journal.write(state);
  EXPECT_THROW(Journal(file, "that job").read(), JobError);
}

TEST_F(JournalTest, RefusesOneThatIsCutAnywhere) {
  const std::string whole = encode(state, "this job");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    put(whole.substr(0, size));
    EXPECT_THROW(journal.read(), JobError) << size;
  }
  put(whole);
  EXPECT_EQ(journal.read(), state);
}

TEST_F(JournalTest, RefusesOneThatIsChangedAnywhere) {
  const std::string whole = encode(state, "this job");
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    put(changed);
    EXPECT_THROW(journal.read(), JobError) << at;
  }
}

}  // namespace
}  // namespace samepage::farm
