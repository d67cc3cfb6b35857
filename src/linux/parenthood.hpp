#pragma once

#include <sys/types.h>

namespace samepage {

/// In a child: the kernel kills it when the parent's thread that forked it ends (prctl(2), PR_SET_PDEATHSIG).
/// False if `parent` is not the parent (any more).
bool die_with(pid_t parent);
/// Takes that back.
void outlive_parent();

/// While it lives, orphaned descendants become children of this process.
class Subreaper {
 public:
  Subreaper();
  Subreaper(const Subreaper&) = delete;
  Subreaper& operator=(const Subreaper&) = delete;
  ~Subreaper();

 private:
  bool before_;
};

}  // namespace samepage
