#pragma once

#include "cli/top_source.hpp"
#include "report/sparkline.hpp"

namespace samepage {

/// Shows a new frame every `interval` seconds, and acts on keys, until the user leaves; the terminal then is
/// as it was. Returns 0, or 128 + N after signal N. Throws UsageError for a terminal that cannot be drawn on.
int show_top(TopSource& source, double interval, Glyphs glyphs);

}  // namespace samepage
