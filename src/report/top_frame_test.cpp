#include "report/top_frame.hpp"

#include <gmock/gmock.h>

#include <deque>
#include <fstream>
#include <sstream>

namespace samepage {
namespace {

LiveProcess process(pid_t pid, const std::string& name, std::uint64_t rss, std::uint64_t private_kb,
                    std::vector<std::string> words) {
  LiveProcess process;
  process.pid = pid;
  process.name = name;
  process.words = std::move(words);
  process.share.rss = rss;
  process.share.private_kb = private_kb;
  process.share.shared_kb = rss - private_kb;
  process.share.pss = private_kb + (rss - private_kb) / 2;
  process.private_kb = {private_kb / 4, private_kb / 2, private_kb};
  return process;
}

/// Two workers and their master, a service, and many shells.
class TopFrameTest : public testing::Test {
 protected:
  TopFrameTest() {
    add("gunicorn", "www-data",
        {process(4712, "gunicorn", 400'000, 100'000, {"gunicorn", "--preload", "app:app"}),
         process(4711, "gunicorn", 500'000, 20'000, {"gunicorn", "--preload", "app:app"}),
         process(4713, "gunicorn", 400'000, 200'000, {"gunicorn", "\x1b[2J", "app:app"})});
    add("postgres", "postgres", {process(900, "postgres", 2'000'000, 1'900'000, {"postgres: checkpointer"})});
    for (pid_t i = 0; i < 10; ++i)
      add("shell-" + std::to_string(i), "root", {process(5000 + i, "shell", 4'000, 3'990 - 10 * i, {})});
    host_.memory = {24'000'000, 20'000'000, 100'000, 4'000'000, 3'900'000, {}};
    host_.memory_pressure = {0.4, 0.0};
    host_.cpu_pressure = {68.71, 0.0};
    host_.ksm_run = "1";
    host_.ksm.pages_sharing = 100'000;
  }

  void add(const std::string& name, const std::string& user, std::vector<LiveProcess> processes) {
    all_.push_back(std::move(processes));
    LiveGroup group;
    group.name = name;
    group.program = "/usr/bin/" + name;
    group.user = user;
    for (const LiveProcess& process : all_.back()) {
      group.processes.push_back(&process);
      group.together_kb += process.share.together_kb();
      group.alone_kb += process.share.rss;
      group.now_private_kb += process.share.private_kb;
    }
    group.private_kb = {0, group.now_private_kb / 2, group.now_private_kb};
    sample_.groups.push_back(std::move(group));
    sample_.processes += all_.back().size();
  }

  std::vector<FrameLine> frame(std::size_t rows = 24, std::size_t columns = 80) {
    return top_frame(sample_, host_, view_, {rows, columns}, Glyphs::utf8);
  }
  std::string text(std::size_t rows, std::size_t columns) {
    std::string text;
    for (const FrameLine& line : frame(rows, columns)) text += line.text + '\n';
    return text;
  }
  std::string selected() {
    for (const FrameLine& line : frame())
      if (line.style == FrameLine::Style::selected) return line.text;
    return "";
  }

  std::deque<std::vector<LiveProcess>> all_;
  LiveSample sample_;
  Host host_;
  TopView view_;
};

std::string golden(const std::string& name) {
  std::stringstream text;
  text << std::ifstream(std::string(SAMEPAGE_GOLDEN) + name).rdbuf();
  return text.str();
}

TEST_F(TopFrameTest, At80x24) {
  EXPECT_EQ(text(24, 80), golden("/top-80x24.txt"));
}

TEST_F(TopFrameTest, At200x60) {
  view_.groups.order = 5;  // saved
  EXPECT_EQ(text(60, 200), golden("/top-200x60.txt"));
}

TEST_F(TopFrameTest, AsText) {
  EXPECT_EQ(top_text(sample_, host_, 100, Glyphs::ascii), golden("/top-once.txt"));
}

TEST_F(TopFrameTest, FitsIntoAnyWindow) {
  for (std::size_t rows = 0; rows < 30; ++rows)
    for (const std::size_t columns : {0, 1, 20, 79, 500}) {
      EXPECT_LE(frame(rows, columns).size(), rows);
      for (const FrameLine& line : frame(rows, columns))
        EXPECT_EQ(first_columns(line.text, columns), line.text);
    }
}

TEST_F(TopFrameTest, TheSelectionFollowsItsGroup) {
  EXPECT_THAT(selected(), testing::StartsWith("postgres"));
  view_.steps = 1;
  EXPECT_THAT(selected(), testing::StartsWith("gunicorn"));
  EXPECT_THAT(selected_pids(sample_, view_), testing::ElementsAre(4712, 4711, 4713));
  view_.reverse();
  EXPECT_THAT(selected(), testing::StartsWith("gunicorn"));
}

TEST_F(TopFrameTest, MovesToTheEndAndBackInSight) {
  view_.steps = kToTheEnd;
  EXPECT_THAT(selected(), testing::StartsWith("shell-9"));
  view_.pages = -1;
  EXPECT_THAT(selected(), testing::StartsWith("shell-3"));
  view_.steps = -kToTheEnd;
  EXPECT_THAT(selected(), testing::StartsWith("postgres"));
}

TEST_F(TopFrameTest, InTheOtherTableOneProcessIsSelected) {
  view_.steps = 1;
  frame();
  view_.in_processes = true;
  EXPECT_THAT(selected(), testing::HasSubstr(" 4713 "));
  view_.next_order(-1);  // by PID
  view_.steps = -kToTheEnd;
  frame();
  EXPECT_THAT(selected_pids(sample_, view_), testing::ElementsAre(4711));
}

TEST_F(TopFrameTest, ASelectionThatHasGoneIsTheFirst) {
  view_.steps = kToTheEnd;
  frame();
  sample_.groups.pop_back();
  EXPECT_THAT(selected(), testing::StartsWith("postgres"));
}

TEST_F(TopFrameTest, WithoutAnyProcessNothingIsSelected) {
  sample_ = {};
  EXPECT_EQ(selected(), "");
  EXPECT_THAT(selected_pids(sample_, view_), testing::IsEmpty());
}

TEST_F(TopFrameTest, WhatTheKernelDoesNotTellIsSaid) {
  host_ = {};
  EXPECT_EQ(frame()[0].text, "memory: the kernel does not tell");
  EXPECT_EQ(frame()[1].text, "no KSM in this kernel   no pressure figures in this kernel");
}

TEST(Sparkline, ShowsTheLatestFromZeroToTheMost) {
  EXPECT_EQ(sparkline({9, 0, 1, 2, 4}, 4, Glyphs::utf8), "▁▃▅█");
  EXPECT_EQ(sparkline({7, 7}, 4, Glyphs::ascii), "  ##");
  EXPECT_EQ(sparkline({0, 0}, 2, Glyphs::ascii), "__");
  EXPECT_EQ(sparkline({}, 2, Glyphs::ascii), "  ");
  EXPECT_EQ(sparkline({1}, 0, Glyphs::utf8), "");
}

}  // namespace
}  // namespace samepage
