#include "linux/signal_state.hpp"

#include <sys/signalfd.h>

#include "linux/system_call.hpp"

namespace samepage {

SignalState::SignalState(std::initializer_list<int> taken) {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : taken) sigaddset(&set, signal);
  must(sigprocmask(SIG_BLOCK, &set, &before_), "sigprocmask");
  fd_ = UniqueFd(must(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

int SignalState::take() const {
  signalfd_siginfo signal;
  const ssize_t got = uninterrupted([&] { return read(fd_.get(), &signal, sizeof signal); });
  return got == sizeof signal ? static_cast<int>(signal.ssi_signo) : 0;
}

SignalState::~SignalState() {
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace samepage
