#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

#include "linux/unique_fd.hpp"

namespace samepage {

/// A client that has sent its whole request.
struct LocalRequest {
  std::string text;
  uid_t user = 0;  ///< as the kernel says (SO_PEERCRED)
  UniqueFd fd;     ///< to answer on; closed with this
};

/// A socket below /run that any user of this host may connect to. A client has a second for its request; who
/// is slower is cut off, and so is the ninth at a time. What is longer than `longest` is taken as it is by
/// then.
class LocalSocket {
 public:
  /// `complete` says whether what has come is a whole request. What lies at `path` is replaced: its owner
  /// must have made sure to be alone. Throws UsageError.
  LocalSocket(std::filesystem::path path, std::size_t longest,
              std::function<bool(const std::string&)> complete);
  LocalSocket(const LocalSocket&) = delete;
  ~LocalSocket();

  /// What to poll for input.
  std::vector<int> fds() const;
  /// Takes what has come, without waiting. `seconds` of a clock that only goes forward.
  std::vector<LocalRequest> take(double seconds);
  bool has_clients() const { return !clients_.empty(); }

 private:
  struct Client {
    UniqueFd fd;
    double since;
    std::string text;
  };
  enum class Came { all, part, nothing };

  void accept_clients(double seconds);
  Came read(Client& client) const;

  std::filesystem::path path_;
  std::size_t longest_;
  std::function<bool(const std::string&)> complete_;
  UniqueFd listening_;
  std::list<Client> clients_;
};

/// Sends as much as goes at once and closes; a client that does not read loses the rest.
void answer(LocalRequest request, const std::string& text);

}  // namespace samepage
