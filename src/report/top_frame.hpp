#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "group/live_accounts.hpp"
#include "linux/host.hpp"
#include "report/sparkline.hpp"
#include "report/top_columns.hpp"

namespace samepage {

struct FrameLine {
  enum class Style { plain, header, selected, faint };
  std::string text;
  Style style = Style::plain;
};

struct FrameSize {
  std::size_t rows, columns;
};

/// One of the two tables.
struct TopPane {
  std::size_t order;  ///< the column that it is sorted by
  bool reversed = false;
  std::size_t first = 0;  ///< row in sight at the top
};

/// Steps that are more than any table has rows.
inline constexpr long kToTheEnd = 1'000'000'000;

/// What the user sees of a sample, and where they are in it.
struct TopView {
  TopPane groups{kTogetherColumn}, processes{kPrivateColumn};
  bool in_processes = false;  ///< which table the keys move in
  std::string group;          ///< selected, by program, name and user; the first if there is none such
  pid_t pid = 0;              ///< selected in it
  long steps = 0, pages = 0;  ///< to move, not done yet
  std::string note;           ///< shown instead of the keys

  void next_order(long step);
  void reverse() { pane().reversed = !pane().reversed; }

 private:
  TopPane& pane() { return in_processes ? processes : groups; }
};

/// The screen for a sample. Moves the selection as the view says, keeps it on a row that exists and in sight.
std::vector<FrameLine> top_frame(const LiveSample& sample, const Host& host, TopView& view, FrameSize size,
                                 Glyphs glyphs);

/// The start of a text in UTF-8, none of whose characters is wide.
std::string first_columns(const std::string& text, std::size_t columns);

/// All of a sample as text: every group, then every process.
std::string top_text(const LiveSample& sample, const Host& host, std::size_t columns, Glyphs glyphs);

/// The processes that are asked about: of the selected group, or the selected one. After top_frame().
std::vector<pid_t> selected_pids(const LiveSample& sample, const TopView& view);

}  // namespace samepage
