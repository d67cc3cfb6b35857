#include "cli/why_page.hpp"

#include <fmt/format.h>
#include <ncurses.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <samepage/census.hpp>
#include <sstream>

#include "linux/priority.hpp"
#include "linux/system_call.hpp"
#include "report/why_report.hpp"

namespace samepage {
namespace {

/// Sentences go on in the next line; rows of tables, known by their wide gaps, are cut at the edge.
std::vector<std::string> lines_of(const std::string& text, std::size_t columns) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    while (line.size() > columns && line.find("  ") == line.npos) {
      const auto blank = line.rfind(' ', columns);
      if (blank == line.npos || blank == 0) break;
      lines.push_back(line.substr(0, blank));
      line.erase(0, blank + 1);
    }
    lines.push_back(line);
  }
  return lines;
}

}  // namespace

WhyPage::WhyPage() : ready_(must(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {}

void WhyPage::ask(std::vector<pid_t> pids) {
  if (pids.empty()) return;
  close();
  open_ = true;
  first_ = 0;
  text_ = fmt::format("looking at {} {} ...", pids.size(), pids.size() == 1 ? "process" : "processes");
  columns_ = 0;
  cancelled_ = false;
  looking_ = std::thread([this, pids = std::move(pids)] {
    give_way();  // to those that are looked at, and to the screen
    try {
      CensusOptions options;
      options.cancelled = [this] { return cancelled_.load(std::memory_order_relaxed); };
      answer_ = why_table(take_census(pids, options));
    } catch (const std::exception& error) {
      answer_ = error.what();
    }
    eventfd_write(ready_.get(), 1);
  });
}

void WhyPage::close() {
  cancelled_ = true;
  if (looking_.joinable()) looking_.join();
  take_answer();
  open_ = false;
}

void WhyPage::take_answer() {
  eventfd_t told;
  if (eventfd_read(ready_.get(), &told) != 0) return;
  if (looking_.joinable()) looking_.join();
  text_ = std::move(answer_);
  columns_ = 0;
}

bool WhyPage::obey(int key) {
  const std::size_t last = lines_.size() - std::min(lines_.size(), height_);
  switch (key) {
    case KEY_UP:
    case 'k':
      first_ -= first_ > 0;
      break;
    case KEY_DOWN:
    case 'j':
      ++first_;
      break;
    case KEY_PPAGE:
      first_ -= std::min(first_, height_);
      break;
    case KEY_NPAGE:
    case ' ':
      first_ += height_;
      break;
    case KEY_HOME:
    case 'g':
      first_ = 0;
      break;
    case KEY_END:
    case 'G':
      first_ = last;
      break;
    case 'q':
    case 27:  // Escape
    case KEY_BACKSPACE:
      return false;
    default:
      break;
  }
  first_ = std::min(first_, last);
  return true;
}

std::vector<FrameLine> WhyPage::frame(FrameSize size) {
  height_ = std::max<std::size_t>(1, size.rows - std::min<std::size_t>(size.rows, 1));
  if (columns_ != size.columns) lines_ = lines_of(text_, columns_ = size.columns);
  first_ = std::min(first_, lines_.size() - std::min(lines_.size(), height_));
  std::vector<FrameLine> lines;
  for (std::size_t i = first_; i < std::min(lines_.size(), first_ + height_); ++i)
    lines.push_back({lines_[i], i == 0 ? FrameLine::Style::header : FrameLine::Style::plain});
  lines.resize(height_);
  lines.push_back({"up down scroll  q back", FrameLine::Style::faint});
  return lines;
}

}  // namespace samepage
