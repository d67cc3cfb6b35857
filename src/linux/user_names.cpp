#include "linux/user_names.hpp"

#include <pwd.h>

namespace samepage {

const std::string& UserNames::of(uid_t user) {
  const auto [entry, is_new] = names_.try_emplace(user);
  if (is_new) {
    const passwd* known = getpwuid(user);
    entry->second = known ? known->pw_name : std::to_string(user);
  }
  return entry->second;
}

}  // namespace samepage
