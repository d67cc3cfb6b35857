#pragma once

#include <string>

#include "report/top_frame.hpp"

namespace samepage {

/// The terminal as a canvas, by ncurses; while it lives the terminal is its own, afterwards it is as it was.
class Terminal {
 public:
  /// Throws UsageError where TERM names no terminal that can be drawn on.
  Terminal();
  Terminal(const Terminal&) = delete;
  ~Terminal();

  FrameSize size() const;
  /// To be called when the window has changed (SIGWINCH).
  void resized();
  void draw(const std::vector<FrameLine>& lines);
  /// The next key that was pressed, as ncurses names it, or -1 if none was; never waits.
  int key();
};

}  // namespace samepage
