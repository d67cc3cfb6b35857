#pragma once

#include <string>
#include <vector>

#include "ksm/lease.hpp"

namespace samepage {

/// What became of turning KSM on or off.
struct RestingResult {
  bool done = false;
  std::string why_not;         ///< one line; empty when done
  std::vector<pid_t> holders;  ///< whose burst goes on until its end, when KSM comes to rest as was asked
};

/// Turns KSM on or off for when nobody has a burst (lease.hpp). A burst that is under way goes on, and puts
/// back this instead of what it found. Off keeps what is merged.
RestingResult set_resting(bool on, const KsmPlaces& places = {});

}  // namespace samepage
