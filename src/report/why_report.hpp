#pragma once

#include <samepage/census.hpp>
#include <string>

namespace samepage {

/// The answer in words, then tables: processes, why memory is not shared, mappings; then what was not seen.
std::string why_table(const Census& census);

/// The ideal beside what was reached, and what keeps the rest apart; lines for the end of `samepage run`.
std::string why_lines(const Census& census);

/// The same as data; its keys are in docs/why.md.
std::string why_json(const Census& census);

}  // namespace samepage
