#pragma once

#include <optional>
#include <string>
#include <vector>

#include "group/start.hpp"
#include "group/template_protocol.h"
#include "linux/proc_fs.hpp"

namespace samepage {

/// A program that was loaded and stopped just before main, and from which copies with one layout are forked.
class Template {
 public:
  /// Starts `starts[0]`'s program with room for the arguments and the environment of every one of `starts`.
  /// `library` is what answers in the program (libsamepage-group.so). Throws std::system_error as
  /// start_plainly does.
  Template(const std::vector<Start>& starts, const std::string& library, const ExecSettings& settings,
           bool ksm);
  Template(const Template&) = delete;

  pid_t pid() const { return pid_; }
  /// The socket: readable when answered() has something to say.
  int fd() const { return socket_.get(); }

  /// To be called when the socket is readable for the first time: why the program cannot be forked (it has
  /// threads, timers…), if it cannot.
  std::optional<std::string> obstacle(const ProcFs& proc) const;

  /// Asks for a copy; its answer comes through the socket. False if the template is gone.
  bool fork(unsigned rank, const Start& start);
  /// The next answer; nothing when there is none at the moment or the template is gone.
  std::optional<samepage_forked> answer() const;

 private:
  pid_t pid_ = -1;
  UniqueFd socket_;
  std::size_t environment_size_ = 0;
};

/// Why a process that stands before main cannot be forked into equal copies; `files` are its descriptors'
/// targets.
std::optional<std::string> fork_obstacle(std::size_t threads, bool timers,
                                         const std::vector<std::string>& files);

/// SAMEPAGE_CONTROL's entry for a process that is not a template but shall opt in to KSM.
std::string control_for_plain_start(bool ksm);

/// The entry LD_PRELOAD=… of `environment` gets `library` as its last; an entry is made if there is none.
/// The entry is moved to the end, where the library can take itself out without leaving a hole.
void append_preload(std::vector<std::string>& environment, const std::string& library);

}  // namespace samepage
