// A trace may come from anywhere: --replay decides on it, or refuses it with one line.
#include <cstddef>
#include <cstdint>
#include <sstream>

#include "linux/usage_error.hpp"
#include "watchdog/trace.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream text(std::string(reinterpret_cast<const char*>(data), size));
  try {
    samepage::replay_trace(text, "fuzz",
                           [](double, const samepage::Decision& decision) { text_of(decision); });
  } catch (const samepage::UsageError&) {
  }
  return 0;
}
