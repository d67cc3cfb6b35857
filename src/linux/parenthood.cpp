#include "linux/parenthood.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace samepage {

bool die_with(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return getppid() == parent;
}

void outlive_parent() {
  prctl(PR_SET_PDEATHSIG, 0);
}

Subreaper::Subreaper() {
  int before = 0;
  prctl(PR_GET_CHILD_SUBREAPER, &before);
  before_ = before != 0;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

Subreaper::~Subreaper() {
  prctl(PR_SET_CHILD_SUBREAPER, before_ ? 1 : 0);
}

}  // namespace samepage
