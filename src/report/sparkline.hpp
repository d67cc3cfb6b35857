#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace samepage {

/// What a terminal can show.
enum class Glyphs { ascii, utf8 };

/// The latest `width` values as bars from 0 to the largest of them, blanks where there are fewer: always
/// `width` columns wide.
std::string sparkline(const std::vector<std::uint64_t>& values, std::size_t width, Glyphs glyphs);

}  // namespace samepage
