#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "linux/unique_fd.hpp"
#include "report/top_frame.hpp"

namespace samepage {

/// The answer of samepage why, to scroll in; looked for on a thread of its own.
class WhyPage {
 public:
  WhyPage();
  ~WhyPage() { close(); }

  void ask(std::vector<pid_t> pids);
  bool open() const { return open_; }
  /// Also stops the looking.
  void close();

  /// Readable when there is an answer to take.
  int ready_fd() const { return ready_.get(); }
  void take_answer();

  /// False for a key that leaves the page.
  bool obey(int key);
  std::vector<FrameLine> frame(FrameSize size);

 private:
  UniqueFd ready_;  // an eventfd
  std::thread looking_;
  std::atomic<bool> cancelled_{false};
  std::string answer_;  // of the thread until it has told through ready_
  bool open_ = false;
  std::string text_;
  std::vector<std::string> lines_;  // of the text, as wide as they were shown
  std::size_t columns_ = 0;
  std::size_t first_ = 0, height_ = 1;
};

}  // namespace samepage
