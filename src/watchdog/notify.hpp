#pragma once

#include <string>

namespace samepage {

/// Tells systemd how the daemon is, as sd_notify(3) documents it: "READY=1", "STATUS=…", "WATCHDOG=1". Does
/// nothing where NOTIFY_SOCKET is not set, and never fails.
class Notify {
 public:
  Notify();

  void send(const std::string& state) const;
  /// Seconds within which a sign of life is expected; 0 where none is (sd_watchdog_enabled(3)).
  double sign_of_life() const { return sign_of_life_; }

 private:
  std::string socket_;
  double sign_of_life_ = 0;
};

}  // namespace samepage
