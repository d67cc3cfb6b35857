#pragma once

#include <sys/types.h>

#include <optional>

#include "linux/unique_fd.hpp"

namespace samepage::farm {

/// What supervisor and template say to one another.
struct Message {
  enum class What {
    fork,      // supervisor: a worker for desk `desk`, of generation `generation`
    forked,    // template: `pid` is at desk `desk`; 0: it could not fork, `status` is the errno
    ended,     // template: its child `pid` has ended with `status`
    serving,   // worker at `desk`, told to promote: `pid` is a template now
    rejected,  // worker at `desk`: its check failed, it stays what it is
    let_go,    // supervisor: outlive your parent, which is to leave
    free,      // template: done
    adopted,   // supervisor: your parent has gone, die with me
    leave,     // supervisor: end
  };
  What what;
  unsigned desk;
  unsigned generation;
  pid_t pid;
  int status;
};

/// A pair of sockets, made before the first fork, so that any process can become a template on it.
class Lane {
 public:
  Lane();

  void tell_template(const Message& message) const;
  void tell_supervisor(const Message& message) const;
  /// What the template said; never waits.
  std::optional<Message> hear_template() const;
  /// What the supervisor said; never waits.
  std::optional<Message> hear_supervisor() const;

  int supervisor_end() const { return supervisor_.get(); }
  int template_end() const { return template_.get(); }

 private:
  UniqueFd supervisor_, template_;
};

}  // namespace samepage::farm
