#include "report/top_frame.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "report/host_lines.hpp"
#include "report/human_size.hpp"

namespace samepage {
namespace {

constexpr const char* kKeys = "up down move  tab table  < > sort by  r reverse  enter why  q quit";
constexpr std::size_t kLinesAround = 8;  // host and sum, titles, headers, blanks and keys

std::string cell(const std::string& text, std::size_t width, Align align) {
  if (text.size() >= width) return text.substr(0, width);
  return align == Align::left ? text + std::string(width - text.size(), ' ')
                              : std::string(width - text.size(), ' ') + text;
}

std::string without_end(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

template <typename Row>
std::size_t width_of(const std::vector<TopColumn<Row>>& columns) {
  std::size_t width = 0;
  for (const auto& column : columns) width += column.width + 1;
  return width;
}

/// The sorting column is marked; what follows the columns is called `rest`.
template <typename Row>
FrameLine header(const std::vector<TopColumn<Row>>& columns, const TopPane& pane, const std::string& rest,
                 Glyphs glyphs) {
  std::string line;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const bool marked = i == pane.order;
    const std::string title =
        cell((marked ? "*" : "") + columns[i].title, columns[i].width, columns[i].align);
    line += title + ' ';
  }
  if (glyphs == Glyphs::utf8)
    if (const auto mark = line.find('*'); mark != line.npos) line.replace(mark, 1, pane.reversed ? "▲" : "▼");
  return {without_end(line + rest), FrameLine::Style::header};
}

template <typename Row>
std::string row_text(const std::vector<TopColumn<Row>>& columns, const Row& row) {
  std::string line;
  for (const auto& column : columns) line += cell(column.text(row), column.width, column.align) + ' ';
  return line;
}

template <typename Row>
std::vector<const Row*> sorted(std::vector<const Row*> rows, const std::vector<TopColumn<Row>>& columns,
                               const TopPane& pane) {
  const auto& before = columns[pane.order % columns.size()].before;
  std::stable_sort(rows.begin(), rows.end(), [&](const Row* a, const Row* b) {
    return pane.reversed ? before(*b, *a) : before(*a, *b);
  });
  return rows;
}

std::string key_of(const LiveGroup& group) {
  return group.name + '\n' + group.program + '\n' + group.user;
}

std::vector<const LiveGroup*> groups_in_order(const LiveSample& sample, const TopPane& pane) {
  std::vector<const LiveGroup*> rows;
  for (const LiveGroup& group : sample.groups) rows.push_back(&group);
  return sorted(std::move(rows), group_columns(), pane);
}

/// Where the selected row stands once the view's move is done; also brings it in sight.
std::size_t moved(std::size_t at, std::size_t rows, std::size_t height, bool here, TopView& view,
                  TopPane& pane) {
  if (rows == 0) return 0;
  if (here) {
    const long wanted =
        static_cast<long>(at) + view.steps + view.pages * static_cast<long>(std::max<std::size_t>(1, height));
    at = static_cast<std::size_t>(std::clamp(wanted, 0L, static_cast<long>(rows) - 1));
    view.steps = view.pages = 0;
  }
  pane.first = std::min(pane.first, rows - std::min(rows, height));
  if (at < pane.first) pane.first = at;
  if (height && at >= pane.first + height) pane.first = at - height + 1;
  return at;
}

std::string sum_line(const LiveSample& sample) {
  std::uint64_t together = 0, alone = 0;
  for (const LiveGroup& group : sample.groups) {
    together += group.together_kb;
    alone += group.alone_kb;
  }
  const std::uint64_t saved = alone - std::min(alone, together);
  std::string line = fmt::format("{} {}: together {}, alone {}, saved {}", sample.processes,
                                 sample.processes == 1 ? "process" : "processes", human_size(together),
                                 human_size(alone), human_size(saved));
  if (alone)
    line += fmt::format(" ({:.0f} %)", 100.0 * static_cast<double>(saved) / static_cast<double>(alone));
  if (sample.hidden) line += fmt::format("; {} may not be looked into", sample.hidden);
  return line;
}

std::size_t spark_width(std::size_t columns, std::size_t taken, std::size_t least_after) {
  const std::size_t room = columns - std::min(columns, taken + least_after);
  return std::min<std::size_t>(LiveAccounts::kHistory, room);
}

std::string group_line(const LiveGroup& group, std::size_t columns, Glyphs glyphs) {
  const auto& all = group_columns();
  return without_end(row_text(all, group) +
                     sparkline(group.private_kb, spark_width(columns, width_of(all), 0), glyphs));
}

/// A third of what is left for the history, two thirds for the command.
std::size_t process_spark_width(std::size_t columns) {
  const std::size_t taken = width_of(process_columns());
  return spark_width(columns, taken, 0) / 3;
}

std::string process_line(const LiveProcess& process, std::size_t columns, Glyphs glyphs) {
  const std::size_t spark = process_spark_width(columns);
  return row_text(process_columns(), process) + sparkline(process.private_kb, spark, glyphs) + ' ' +
         command_of(process);
}

FrameLine process_header(const TopPane& pane, std::size_t columns, Glyphs glyphs) {
  return header(process_columns(), pane,
                cell("history", process_spark_width(columns), Align::left) + " command", glyphs);
}

}  // namespace

std::string first_columns(const std::string& text, std::size_t columns) {
  std::size_t seen = 0, at = 0;
  for (; at < text.size(); ++at)
    if ((text[at] & 0xc0) != 0x80 && seen++ == columns) break;
  return text.substr(0, at);
}

void TopView::next_order(long step) {
  const auto count = static_cast<long>(in_processes ? process_columns().size() : group_columns().size());
  pane().order = static_cast<std::size_t>((static_cast<long>(pane().order) + step + count) % count);
  pane().reversed = false;
}

std::vector<FrameLine> top_frame(const LiveSample& sample, const Host& host, TopView& view, FrameSize size,
                                 Glyphs glyphs) {
  using Style = FrameLine::Style;
  const std::size_t room = size.rows - std::min(size.rows, kLinesAround);
  const std::size_t group_rows = std::min(sample.groups.size(), std::max<std::size_t>(2, room * 2 / 5));
  const std::size_t process_rows = room - std::min(room, group_rows);

  const auto groups = groups_in_order(sample, view.groups);
  const auto chosen = std::find_if(groups.begin(), groups.end(),
                                   [&](const auto* group) { return key_of(*group) == view.group; });
  const std::size_t group_at =
      moved(chosen == groups.end() ? 0 : static_cast<std::size_t>(chosen - groups.begin()), groups.size(),
            group_rows, !view.in_processes, view, view.groups);
  const LiveGroup* group = groups.empty() ? nullptr : groups[group_at];
  view.group = group ? key_of(*group) : "";

  std::vector<const LiveProcess*> processes;
  if (group) processes = sorted(group->processes, process_columns(), view.processes);
  const auto found = std::find_if(processes.begin(), processes.end(),
                                  [&](const auto* process) { return process->pid == view.pid; });
  const std::size_t process_at =
      moved(found == processes.end() ? 0 : static_cast<std::size_t>(found - processes.begin()),
            processes.size(), process_rows, view.in_processes, view, view.processes);
  view.pid = processes.empty() ? 0 : processes[process_at]->pid;

  std::vector<FrameLine> lines;
  lines.push_back({memory_line(host.memory)});
  lines.push_back({ksm_and_pressure_line(host)});
  lines.push_back({sum_line(sample)});
  lines.push_back({""});
  lines.push_back(header(group_columns(), view.groups, "history of private", glyphs));
  for (std::size_t i = view.groups.first; i < std::min(groups.size(), view.groups.first + group_rows); ++i)
    lines.push_back({group_line(*groups[i], size.columns, glyphs), i != group_at       ? Style::plain
                                                                   : view.in_processes ? Style::header
                                                                                       : Style::selected});
  lines.push_back({""});
  lines.push_back(process_header(view.processes, size.columns, glyphs));
  for (std::size_t i = view.processes.first;
       i < std::min(processes.size(), view.processes.first + process_rows); ++i)
    lines.push_back({process_line(*processes[i], size.columns, glyphs),
                     i == process_at && view.in_processes ? Style::selected : Style::plain});
  while (lines.size() + 1 < size.rows) lines.push_back({""});
  lines.resize(std::min(lines.size(), size.rows - std::min<std::size_t>(size.rows, 1)));
  if (size.rows) lines.push_back({view.note.empty() ? kKeys : view.note, Style::faint});
  for (FrameLine& line : lines) line.text = without_end(first_columns(line.text, size.columns));
  return lines;
}

std::string top_text(const LiveSample& sample, const Host& host, std::size_t columns, Glyphs glyphs) {
  const TopView view;
  std::vector<std::string> lines{memory_line(host.memory), ksm_and_pressure_line(host), sum_line(sample), "",
                                 header(group_columns(), view.groups, "", glyphs).text};
  std::vector<const LiveProcess*> processes;
  for (const LiveGroup* group : groups_in_order(sample, view.groups)) {
    lines.push_back(row_text(group_columns(), *group));
    processes.insert(processes.end(), group->processes.begin(), group->processes.end());
  }
  lines.push_back("");
  lines.push_back(header(process_columns(), view.processes, "command", glyphs).text);
  for (const LiveProcess* process : sorted(std::move(processes), process_columns(), view.processes))
    lines.push_back(row_text(process_columns(), *process) + command_of(*process));
  std::string text;
  for (const std::string& line : lines) text += without_end(first_columns(line, columns)) + '\n';
  return text;
}

std::vector<pid_t> selected_pids(const LiveSample& sample, const TopView& view) {
  if (view.in_processes) return view.pid ? std::vector<pid_t>{view.pid} : std::vector<pid_t>{};
  std::vector<pid_t> pids;
  for (const LiveGroup& group : sample.groups)
    if (key_of(group) == view.group)
      for (const LiveProcess* process : group.processes) pids.push_back(process->pid);
  return pids;
}

}  // namespace samepage
