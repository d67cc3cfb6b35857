#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace samepage {

/// An environment as "NAME=value" strings, in order.
class Environment {
 public:
  static Environment of_this_process();
  explicit Environment(std::vector<std::string> entries) : entries_(std::move(entries)) {}

  bool has(std::string_view name) const;
  std::string get(std::string_view name) const;  ///< empty if it is not there
  void set(std::string_view name, std::string_view value);
  const std::vector<std::string>& entries() const { return entries_; }

 private:
  std::vector<std::string> entries_;
};

/// Gives Python's and Perl's hash tables one fresh random seed, unless the user chose one.
void seed_hashes(Environment& environment);

/// Puts the heap in front of what is already preloaded.
void preload_heap(Environment& environment, const std::string& library);

}  // namespace samepage
