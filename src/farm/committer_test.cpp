#include "farm/committer.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include "farm/block_record.hpp"
#include "linux/test_folder.hpp"

namespace samepage::farm {
namespace {

/// Keeps what it is given where the test sees it.
class StringSink final : public Sink {
 public:
  explicit StringSink(std::string& text) : text_(text) {}
  void open(const std::optional<std::string>& committed) override {
    text_.resize(committed ? std::stoul(*committed) : 0);
  }
  void write(std::uint64_t event, std::span<const std::byte> output) override {
    text_ += std::to_string(event) + ":" +
             std::string(reinterpret_cast<const char*>(output.data()), output.size()) + " ";
  }
  std::string commit() override { return std::to_string(text_.size()); }
  void finish(std::span<const std::byte>) override { text_ += "end"; }

 private:
  std::string& text_;
};

struct CommitterTest : testing::Test {
  CommitterTest() {
    job.sink = [this] { return std::make_unique<StringSink>(text); };
    job.merged = &words;
  }
  ~CommitterTest() override { journal.remove(); }

  /// A block of two events that adds its name to the merged words.
  std::vector<std::byte> block(std::uint64_t first, const std::string& name) {
    BlockRecord record;
    record.begin(first);
    for (std::uint64_t event : {first, first + 1})
      record.add_output(event, std::as_bytes(std::span(name.data(), name.size())));
    record.end(name);
    return {record.bytes().begin(), record.bytes().end()};
  }

  std::string text;
  Merged<std::string> words{{[] { return std::string(); },
                             [](std::string& all, const std::string& one) { all += one; },
                             [](const std::string& value) { return value; },
                             [](std::string_view saved) { return std::string(saved); }}};
  Job job;
  const TestFolder folder;
  Journal journal{folder / "journal", ""};
};

TEST_F(CommitterTest, BringsBlocksIntoOrder) {
  Committer committer(job, std::nullopt, {}, false);
  committer.add(block(2, "b"));
  committer.add(block(4, "c"));
  EXPECT_EQ(text, "");
  committer.add(block(0, "a"));
  EXPECT_EQ(text, "0:a 1:a 2:b 3:b 4:c 5:c ");
  EXPECT_EQ(committer.finish(), "abc");
  EXPECT_EQ(text, "0:a 1:a 2:b 3:b 4:c 5:c end");
}

TEST_F(CommitterTest, GoesOnBehindTheLastCommit) {
  {
    Committer committer(job, journal, {}, false);
    committer.add(block(0, "a"));
    committer.commit();
    committer.add(block(2, "lost"));
    committer.add(block(6, "early and lost"));
  }
  Committer again(job, journal, *journal.read(), true);
  EXPECT_EQ(again.events(), 2u);
  again.add(block(2, "b"));
  EXPECT_EQ(again.finish(), "ab");
  EXPECT_EQ(text, "0:a 1:a 2:b 3:b end");
  EXPECT_EQ(journal.read(), std::nullopt);
}

TEST_F(CommitterTest, UnorderedOutputIsMergedInOrderAllTheSame) {
  job.options.ordered = false;
  {
    Committer committer(job, journal, {}, false);
    committer.add(block(2, "b"));
    committer.commit();
    committer.add(block(0, "lost"));
  }
  Committer again(job, journal, *journal.read(), true);
  EXPECT_EQ(again.events(), 2u);
  again.add(block(0, "a"));
  EXPECT_EQ(again.finish(), "ab");
  EXPECT_EQ(text, "2:b 3:b 0:a 1:a end");
}

TEST_F(CommitterTest, AJobThatDiedWhileItFinishedIsFinished) {
  {
    Committer committer(job, journal, {}, false);
    committer.add(block(0, "a"));
    committer.commit();
  }
  Committed state = *journal.read();
  state.complete = true;
  EXPECT_EQ(Committer(job, journal, state, true).finish(), "a");
  EXPECT_EQ(text, "0:a 1:a end");
}

}  // namespace
}  // namespace samepage::farm
