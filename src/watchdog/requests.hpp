#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "linux/proc_fs.hpp"
#include "watchdog/decision.hpp"
#include "watchdog/local_socket.hpp"

namespace samepage {

/// The socket on which programs ask for a burst: "burst PID\n", answered by "ok …\n" or "no REASON\n". Root
/// may ask for any process, others for their own.
class BurstRequests {
 public:
  BurstRequests(const std::filesystem::path& socket, ProcFs proc);

  std::vector<int> fds() const { return socket_.fds(); }
  bool has_clients() const { return socket_.has_clients(); }

  /// The processes for which a burst was asked since the last call. What is refused at once has its answer.
  std::vector<pid_t> take(double seconds);
  /// Passes the policy's answers on.
  void answer_all(const std::vector<Decision>& decisions);

 private:
  struct Asked {
    pid_t pid;
    LocalRequest request;
  };

  LocalSocket socket_;
  ProcFs proc_;
  std::vector<Asked> asked_;
};

/// The PID of "burst PID\n"; nothing of any other line.
std::optional<pid_t> parse_burst_request(std::string_view line);

}  // namespace samepage
