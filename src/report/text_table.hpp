#pragma once

#include <string>
#include <vector>

namespace samepage {

enum class Align { left, right };

/// Columns as wide as their widest cell, two blanks between them.
class TextTable {
 public:
  TextTable(std::vector<std::string> header, std::vector<Align> align)
      : rows_{std::move(header)}, align_(std::move(align)) {}

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
  std::vector<Align> align_;
};

}  // namespace samepage
