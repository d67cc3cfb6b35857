#pragma once

#include <string>

#include "ksm/overview.hpp"

namespace samepage {

/// What KSM does, saves and costs, in words; then the processes, best first; then those that gain nothing.
std::string ksm_table(const KsmOverview& overview);
std::string ksm_json(const KsmOverview& overview);

}  // namespace samepage
