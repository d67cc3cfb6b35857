#pragma once

#include <cstdint>
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

/// Seeds of hash tables, the same in all processes that are to build the same tables.
struct HashSeeds {
  std::uint32_t python;
  std::uint64_t perl;
  static HashSeeds random();  ///< from the kernel: not to be guessed from outside
};

/// Gives Python's and Perl's hash tables one seed, unless the user chose one.
void seed_hashes(Environment& environment, const HashSeeds& seeds = HashSeeds::random());

/// Puts the heap in front of what is already preloaded.
void preload_heap(Environment& environment, const std::string& library);

/// Lets CPython take its objects from malloc (PYTHONMALLOC=malloc) and not from arenas of its own, which the
/// store cannot share, unless the user chose something.
void share_interpreter_arenas(Environment& environment);

}  // namespace samepage
