#include "linux/memory_nodes.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <string>

namespace samepage {
namespace {

std::optional<unsigned> number(std::string_view text) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::optional(value) : std::nullopt;
}

}  // namespace

unsigned parse_node_list(std::string_view text) {
  unsigned nodes = 0;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    const auto dash = part.find('-');
    const auto first = number(part), last = dash == part.npos ? first : number(part.substr(dash + 1));
    if (first && last && *last >= *first) nodes += *last - *first + 1;
  }
  return std::max(nodes, 1u);
}

unsigned memory_nodes(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return parse_node_list(line);
}

}  // namespace samepage
