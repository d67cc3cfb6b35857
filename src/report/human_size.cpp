#include "report/human_size.hpp"

#include <fmt/format.h>

namespace samepage {

std::string human_size(std::uint64_t kb) {
  double value = static_cast<double>(kb) * 1024 / 1e6;
  const char* unit = "MB";
  if (value >= 999.5) {
    value /= 1000;
    unit = "GB";
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return unit[0] == 'M' ? fmt::format("{:.{}f} MB", value, value < 9.95 ? 1 : 0)
                        : fmt::format("{:.{}f} GB", value, decimals);
}

}  // namespace samepage
