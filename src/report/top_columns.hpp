#pragma once

#include <functional>
#include <string>
#include <vector>

#include "group/live_accounts.hpp"
#include "report/text_table.hpp"

namespace samepage {

/// A column of one of samepage top's two tables, by which its rows may be sorted.
template <typename Row>
struct TopColumn {
  std::string title;
  std::size_t width;
  Align align;
  std::function<std::string(const Row&)> text;  ///< ASCII without control characters
  std::function<bool(const Row&, const Row&)> before;
};

const std::vector<TopColumn<LiveGroup>>& group_columns();
const std::vector<TopColumn<LiveProcess>>& process_columns();
/// What rows are sorted by at the start: together, private.
inline constexpr std::size_t kTogetherColumn = 3, kPrivateColumn = 1;

/// A process's command line without the program's folder, to be shown as wide as there is room.
std::string command_of(const LiveProcess& process);

}  // namespace samepage
