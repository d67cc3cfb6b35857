#include "report/top_columns.hpp"

#include <fmt/format.h>

#include "report/human_size.hpp"

namespace samepage {
namespace {

/// What others wrote may hold anything, also what a terminal obeys.
std::string printable(std::string text) {
  for (char& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

std::string size_of(std::uint64_t kb) {
  return kb ? human_size(kb) : "-";
}

template <typename Row, typename Value>
TopColumn<Row> most_first(std::string title, std::size_t width, Value value,
                          std::function<std::string(const Row&)> text) {
  return {std::move(title), width, Align::right, std::move(text),
          [value](const Row& a, const Row& b) { return value(a) > value(b); }};
}

template <typename Row, typename Value>
TopColumn<Row> size_column(std::string title, std::size_t width, Value value) {
  return most_first<Row>(std::move(title), width, value,
                         [value](const Row& row) { return size_of(static_cast<std::uint64_t>(value(row))); });
}

template <typename Row, typename Value>
TopColumn<Row> word_column(std::string title, std::size_t width, Value value) {
  return {std::move(title), width, Align::left, [value](const Row& row) { return printable(value(row)); },
          [value](const Row& a, const Row& b) { return value(a) < value(b); }};
}

std::int64_t percent_saved(const LiveGroup& group) {
  return group.alone_kb ? 100 * group.saved_kb() / static_cast<std::int64_t>(group.alone_kb) : 0;
}

}  // namespace

const std::vector<TopColumn<LiveGroup>>& group_columns() {
  using Row = LiveGroup;
  static const std::vector<TopColumn<Row>> columns = {
      word_column<Row>("group", 15, [](const Row& row) { return row.name; }),
      word_column<Row>("user", 8, [](const Row& row) { return row.user; }),
      most_first<Row>(
          "procs", 6, [](const Row& row) { return row.processes.size(); },
          [](const Row& row) { return std::to_string(row.processes.size()); }),
      size_column<Row>("together", 9, [](const Row& row) { return row.together_kb; }),
      size_column<Row>("alone", 7, [](const Row& row) { return row.alone_kb; }),
      // A process that shares nothing takes its page tables beside its RSS: that is nothing saved.
      size_column<Row>("saved", 7, [](const Row& row) { return std::max<std::int64_t>(0, row.saved_kb()); }),
      most_first<Row>("%", 5, percent_saved,
                      [](const Row& row) {
                        const auto percent = percent_saved(row);
                        return percent > 0 ? fmt::format("{} %", percent) : std::string("-");
                      }),
      size_column<Row>("private", 8, [](const Row& row) { return row.now_private_kb; }),
  };
  return columns;
}

const std::vector<TopColumn<LiveProcess>>& process_columns() {
  using Row = LiveProcess;
  static const std::vector<TopColumn<Row>> columns = {
      {"pid", 7, Align::right, [](const Row& row) { return std::to_string(row.pid); },
       [](const Row& a, const Row& b) { return a.pid < b.pid; }},
      size_column<Row>("private", 8, [](const Row& row) { return row.share.private_kb; }),
      size_column<Row>("shared", 7, [](const Row& row) { return row.share.shared_kb; }),
      size_column<Row>("KSM", 7, [](const Row& row) { return row.share.ksm.value_or(0); }),
      size_column<Row>("swapped", 8, [](const Row& row) { return row.share.swapped_pss; }),
      size_column<Row>("PSS", 7, [](const Row& row) { return row.share.pss; }),
      size_column<Row>("RSS", 7, [](const Row& row) { return row.share.rss; }),
  };
  return columns;
}

std::string command_of(const LiveProcess& process) {
  std::string line;
  for (const std::string& word : process.words)
    line += line.empty() && word.starts_with('/') ? word.substr(word.rfind('/') + 1)
                                                  : (line.empty() ? "" : " ") + word;
  return printable(line.empty() ? '[' + process.name + ']' : line);
}

}  // namespace samepage
