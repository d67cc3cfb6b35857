#pragma once

#include <functional>
#include <string>
#include <vector>

namespace reco {

/// Forks `count` processes from this one; each runs work(0 … count-1) and ends. Returns what they returned,
/// in this order. Call from a single-threaded process. Throws what went wrong in the first worker that
/// failed: its UsageError, or std::runtime_error if it died. Workers end when this process does.
std::vector<std::string> run_workers(int count, const std::function<std::string(int)>& work);

}  // namespace reco
