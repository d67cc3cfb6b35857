#include "linux/priority.hpp"

#include <sys/resource.h>

#include <algorithm>

namespace samepage {

void give_way() {
  // Of Linux's threads, not of the process (setpriority(2), C library/kernel differences).
  setpriority(PRIO_PROCESS, 0, std::max(10, getpriority(PRIO_PROCESS, 0)));
}

}  // namespace samepage
