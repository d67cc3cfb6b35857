#pragma once

#include <optional>
#include <samepage/census.hpp>

#include "group/accounts.hpp"

namespace samepage {

/// The census of a group while it runs: taken when the group has settled, and again later, at a cost of at
/// most a twentieth of the time. Output of the copies waits meanwhile.
class RunCensus {
 public:
  void look(const Accounts& accounts);
  /// The last one that saw every process; nothing if the group never settled.
  const std::optional<Census>& last() const { return last_; }

 private:
  std::optional<Census> last_;
  double last_sample_ = 0, next_ = 0;
};

}  // namespace samepage
