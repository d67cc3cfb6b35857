#pragma once

#include <string>

#include "group/live_accounts.hpp"
#include "linux/host.hpp"

namespace samepage {

/// A sample as one line of JSON, with its end; its keys are in docs/top.md.
std::string top_json(const LiveSample& sample, const Host& host);

}  // namespace samepage
