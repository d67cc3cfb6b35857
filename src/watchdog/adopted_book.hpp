#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace samepage {

/// Which processes this daemon has registered, and which it must not try (again). It lies in a file beside
/// KSM's ledger, so that a daemon that is started after a kill goes on where the last one was:
/// `{"version": 1, "processes": [{"pid", "start_time", "state": "adopted"|"refused"}]}`.
class AdoptedBook {
 public:
  enum class State { unknown, adopted, refused };

  /// Reads what is there. A file that somebody else could have written, or of another version, is passed
  /// over.
  explicit AdoptedBook(std::filesystem::path file);

  State state(pid_t pid, std::uint64_t start_time) const;
  void set(pid_t pid, std::uint64_t start_time, State state);
  /// Forgets all but the processes for which `alive(pid, start_time)` holds.
  template <typename Alive>
  void keep_if(Alive alive) {
    if (std::erase_if(entries_,
                      [&](const auto& entry) { return !alive(entry.first, entry.second.start_time); }))
      changed_ = true;
  }
  /// Writes the file if something has changed; whole or not at all.
  void save();

 private:
  struct Entry {
    std::uint64_t start_time = 0;
    State state = State::unknown;
  };

  std::filesystem::path file_;
  std::map<pid_t, Entry> entries_;
  bool changed_ = false;
};

}  // namespace samepage
