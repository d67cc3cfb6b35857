#include "cli/top_screen.hpp"

#include <ncurses.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>

#include "cli/terminal.hpp"
#include "cli/why_page.hpp"
#include "linux/signal_state.hpp"
#include "report/top_frame.hpp"

namespace samepage {
namespace {

using Clock = std::chrono::steady_clock;

enum class Wish { none, leave, why };

Wish obey(int key, TopView& view) {
  switch (key) {
    case 'q':
      return Wish::leave;
    case KEY_UP:
    case 'k':
      --view.steps;
      break;
    case KEY_DOWN:
    case 'j':
      ++view.steps;
      break;
    case KEY_PPAGE:
      --view.pages;
      break;
    case KEY_NPAGE:
      ++view.pages;
      break;
    case KEY_HOME:
    case 'g':
      view.steps = -kToTheEnd;
      break;
    case KEY_END:
    case 'G':
      view.steps = kToTheEnd;
      break;
    case '\t':
    case KEY_BTAB:
      view.in_processes = !view.in_processes;
      break;
    case '<':
    case KEY_LEFT:
      view.next_order(-1);
      break;
    case '>':
    case KEY_RIGHT:
    case 's':
      view.next_order(1);
      break;
    case 'r':
      view.reverse();
      break;
    case '\r':
    case '\n':
    case KEY_ENTER:
      return Wish::why;
    default:
      break;
  }
  return Wish::none;
}

}  // namespace

int show_top(TopSource& source, double interval, Glyphs glyphs) {
  // Before ncurses, so that it does not take them.
  const SignalState signals({SIGINT, SIGTERM, SIGHUP, SIGWINCH});
  LiveSample sample = source.sample();
  Host host = source.host();
  Terminal terminal;
  TopView view;
  WhyPage why;
  const auto pause = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(interval));
  auto next = Clock::now() + pause;
  while (true) {
    // Arranges the view also while the other page is in front: what is selected then still is what it was.
    const auto frame = top_frame(sample, host, view, terminal.size(), glyphs);
    terminal.draw(why.open() ? why.frame(terminal.size()) : frame);

    pollfd waited[] = {{STDIN_FILENO, POLLIN, 0}, {signals.fd(), POLLIN, 0}, {why.ready_fd(), POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
    poll(waited, 3, static_cast<int>(std::max<std::int64_t>(0, left)));
    while (const int signal = signals.take()) {
      if (signal == SIGWINCH)
        terminal.resized();
      else
        return signal == SIGINT ? 0 : 128 + signal;
    }
    if (waited[0].revents & (POLLHUP | POLLERR | POLLNVAL)) return 128 + SIGHUP;
    for (int key; (key = terminal.key()) >= 0;) {
      if (why.open()) {
        if (!why.obey(key)) why.close();
        continue;
      }
      const Wish wish = obey(key, view);
      if (wish == Wish::leave) return 0;
      if (wish == Wish::why) {
        top_frame(sample, host, view, terminal.size(), glyphs);  // the keys before it moved the selection
        why.ask(selected_pids(sample, view));
      }
    }
    why.take_answer();
    if (Clock::now() >= next) {
      sample = source.sample();
      host = source.host();
      next = std::max(next + pause, Clock::now());
    }
  }
}

}  // namespace samepage
