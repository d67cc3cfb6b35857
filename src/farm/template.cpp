#include "farm/template.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "linux/parenthood.hpp"
#include "linux/signal_state.hpp"
#include "linux/system_call.hpp"

namespace samepage::farm {

namespace {

void report_ended_children(const Lane& lane) {
  siginfo_t info{};
  // Told before it is reaped: if this process dies in between, the supervisor inherits the child and sees for
  // itself.
  while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
    const pid_t pid = info.si_pid;
    const int status = info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
    lane.tell_supervisor({Message::What::ended, 0, 0, pid, status});
    waitpid(pid, nullptr, 0);
    info = {};
  }
}

}  // namespace

Seat serve_as_template(const Lane& lane, pid_t supervisor) {
  const SignalState signals({SIGCHLD});
  const pid_t self = getpid();
  lane.tell_supervisor({Message::What::serving, 0, 0, self, 0});
  for (;;) {
    pollfd polled[] = {{lane.template_end(), POLLIN, 0}, {signals.fd(), POLLIN, 0}};
    poll(polled, 2, -1);
    if (polled[1].revents) {
      signalfd_siginfo info;
      while (read(signals.fd(), &info, sizeof info) == sizeof info) {
      }
      report_ended_children(lane);
    }
    const auto message = lane.hear_supervisor();
    if (!message) continue;
    switch (message->what) {
      case Message::What::fork: {
        std::fflush(nullptr);
        const pid_t child = fork();
        if (child == 0) {
          if (!die_with(self)) _exit(1);
          return {message->desk, message->generation, false};
        }
        lane.tell_supervisor(
            {Message::What::forked, message->desk, message->generation, child < 0 ? 0 : child, errno});
        break;
      }
      case Message::What::let_go:
        outlive_parent();
        lane.tell_supervisor({Message::What::free, 0, 0, self, 0});
        break;
      case Message::What::adopted:
        if (!die_with(supervisor)) _exit(1);
        break;
      default:
        _exit(0);
    }
  }
}

}  // namespace samepage::farm
