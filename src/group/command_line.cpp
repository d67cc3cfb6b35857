#include "group/command_line.hpp"

#include <fmt/format.h>

#include "linux/usage_error.hpp"

namespace samepage {
namespace {

void replace_all(std::string& text, std::string_view what, const std::string& by) {
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
}

}  // namespace

std::vector<std::string> arguments_of_copy(const std::vector<std::string>& words, std::size_t rank,
                                           std::size_t copies) {
  std::vector<std::string> result = words;
  for (std::string& word : result) {
    replace_all(word, "{rank}", std::to_string(rank));
    replace_all(word, "{copies}", std::to_string(copies));
  }
  return result;
}

std::vector<std::string> split_words(std::string_view line) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool blank = c == ' ' || c == '\t' || c == '\r';
    if (!quote && blank) {
      in_word = false;
      continue;
    }
    if (!in_word) words.emplace_back();
    in_word = true;
    if (c == '\\' && quote != '\'' && i + 1 < line.size())
      words.back() += line[++i];
    else if (quote ? c == quote : (c == '\'' || c == '"'))
      quote = quote ? 0 : c;
    else
      words.back() += c;
  }
  if (quote) throw UsageError(fmt::format("a quote is not closed: {}", line));
  return words;
}

}  // namespace samepage
