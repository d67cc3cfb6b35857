#pragma once

#include <optional>
#include <string>
#include <vector>

#include "group/environment.hpp"
#include "group/store_files.hpp"
#include "linux/unique_fd.hpp"

namespace samepage {

/// A store that independent launchers share under a name.
///
/// The first to come listens on a socket in the abstract namespace (nothing in the file system) and hands the
/// memory files and the hash seeds to those that come later. Each launcher holds the files itself, so the
/// first one's end takes nothing from the others; they see their connection close, and one of them listens
/// on.
///
/// The name is this user's, in this user namespace, PID namespace and cgroup; both sides ask the kernel who
/// the other is.
class StoreJoin {
 public:
  struct Who {
    std::string name;             ///< as the user chose it
    bool across_cgroups = false;  ///< also with launchers of other cgroups that say the same
  };

  /// Joins, or is the first. Nothing if neither is possible; `why_not` then says so. May wait for two
  /// seconds.
  static std::optional<StoreJoin> join(const Who& who, std::string& why_not);

  const StoreFiles& files() const { return files_; }
  const HashSeeds& seeds() const { return seeds_; }
  bool is_first() const { return found_empty_; }

  /// To be polled for input; then hear() is to be called.
  std::vector<int> descriptors() const;
  void hear();

 private:
  StoreJoin(Who who, std::string address) : who_(std::move(who)), address_(std::move(address)) {}

  enum class Answer { good, nobody, no };

  bool listen_here();
  Answer ask(std::string& why_not);
  bool attach(std::string& why_not);
  void serve(int peer) const;

  Who who_;
  std::string address_;  ///< of the socket
  StoreFiles files_;
  HashSeeds seeds_{};
  bool has_files_ = false, found_empty_ = false;
  UniqueFd listener_;
  UniqueFd holder_;              ///< the connection to who listens; it closes when that ends
  std::vector<UniqueFd> peers_;  ///< such connections, if we listen
};

}  // namespace samepage
