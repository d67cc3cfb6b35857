#pragma once

#include <sys/types.h>

#include <map>
#include <string>

namespace samepage {

/// Names of users, each asked for once; a user without one is shown by number. For one thread.
class UserNames {
 public:
  const std::string& of(uid_t user);

 private:
  std::map<uid_t, std::string> names_;
};

}  // namespace samepage
