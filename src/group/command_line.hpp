#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace samepage {

/// A copy's arguments: "{rank}" and "{copies}" are replaced, wherever they stand.
std::vector<std::string> arguments_of_copy(const std::vector<std::string>& words, std::size_t rank,
                                           std::size_t copies);

/// Splits a line into words as a shell does: blanks, '…', "…" and backslash; nothing is expanded.
/// Throws UsageError if a quote is not closed.
std::vector<std::string> split_words(std::string_view line);

}  // namespace samepage
