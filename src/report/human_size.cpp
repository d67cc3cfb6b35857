#include "report/human_size.hpp"

#include <fmt/format.h>

#include <cstdlib>

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

std::string signed_human_size(std::int64_t kb) {
  const std::string size = human_size(static_cast<std::uint64_t>(std::abs(kb)));
  return kb < 0 && size != human_size(0) ? "-" + size : size;
}

}  // namespace samepage
