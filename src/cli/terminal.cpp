#include "cli/terminal.hpp"

#include <fmt/format.h>
#include <ncurses.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

#include "linux/usage_error.hpp"

namespace samepage {
namespace {

attr_t look_of(FrameLine::Style style) {
  switch (style) {
    case FrameLine::Style::plain:
      return A_NORMAL;
    case FrameLine::Style::header:
      return A_BOLD;
    case FrameLine::Style::selected:
      return A_REVERSE;
    case FrameLine::Style::faint:
      return A_DIM;
  }
  return A_NORMAL;
}

}  // namespace

Terminal::Terminal() {
  // newterm() comes back where initscr() would end the program.
  if (!newterm(nullptr, stdout, stdin)) {
    const char* name = std::getenv("TERM");
    throw UsageError(fmt::format(
        "top: TERM={}: no terminal that can be drawn on; samepage top --once prints once", name ? name : ""));
  }
  set_escdelay(25);
  cbreak();
  noecho();
  nonl();
  keypad(stdscr, TRUE);
  nodelay(stdscr, TRUE);
  curs_set(0);
}

Terminal::~Terminal() {
  endwin();
}

FrameSize Terminal::size() const {
  return {static_cast<std::size_t>(LINES), static_cast<std::size_t>(COLS)};
}

void Terminal::resized() {
  winsize window{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row && window.ws_col) {
    resizeterm(window.ws_row, window.ws_col);
    clearok(stdscr, TRUE);
  }
}

void Terminal::draw(const std::vector<FrameLine>& lines) {
  erase();
  for (std::size_t row = 0; row < lines.size(); ++row) {
    const int y = static_cast<int>(row);
    mvaddstr(y, 0, first_columns(lines[row].text, static_cast<std::size_t>(COLS)).c_str());
    mvchgat(y, 0, -1, look_of(lines[row].style), 0, nullptr);
  }
  refresh();
}

int Terminal::key() {
  const int key = getch();
  return key == ERR ? -1 : key;
}

}  // namespace samepage
