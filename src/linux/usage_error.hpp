#pragma once

#include <stdexcept>
#include <string>

namespace samepage {

/// A mistake of the user or a lack of the machine that one line explains; main prints it and exits with
/// `status`.
class UsageError : public std::runtime_error {
 public:
  explicit UsageError(const std::string& line, int exit_status = 2)
      : std::runtime_error(line), status(exit_status) {}

  const int status;
};

}  // namespace samepage
