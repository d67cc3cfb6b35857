#include "report/sparkline.hpp"

#include <algorithm>
#include <array>

namespace samepage {

std::string sparkline(const std::vector<std::uint64_t>& values, std::size_t width, Glyphs glyphs) {
  constexpr std::size_t kLevels = 8;
  static constexpr std::array<const char*, kLevels> kAscii{"_", ".", ":", "-", "=", "+", "*", "#"};
  static constexpr std::array<const char*, kLevels> kBars{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const std::size_t shown = std::min(width, values.size());
  const auto first = values.end() - static_cast<std::ptrdiff_t>(shown);
  const std::uint64_t most = shown ? *std::max_element(first, values.end()) : 0;
  std::string line(width - shown, ' ');
  for (auto value = first; value != values.end(); ++value) {
    const double part = most ? static_cast<double>(*value) / static_cast<double>(most) : 0;
    const auto level = std::min(kLevels - 1, static_cast<std::size_t>(part * kLevels));
    line += (glyphs == Glyphs::utf8 ? kBars : kAscii)[level];
  }
  return line;
}

}  // namespace samepage
