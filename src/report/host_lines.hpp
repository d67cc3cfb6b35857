#pragma once

#include <string>

#include "linux/host.hpp"

namespace samepage {

/// "25.3 GB of memory: 1.2 GB used, 24.1 GB available; 4.3 GB of swap: 0.1 GB used".
std::string memory_line(const MemInfo& memory);
/// "KSM is on, saves 312 MB   in the last 10 s waited: memory 0 %, io 1 %, cpu 68 %".
std::string ksm_and_pressure_line(const Host& host);

}  // namespace samepage
