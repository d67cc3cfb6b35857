#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace samepage {

/// An executable as it will be started, and what cannot be had with it.
struct Program {
  std::filesystem::path file;     ///< what is exec'd
  std::vector<std::string> argv;  ///< its whole command line
  std::string name;               ///< of the process, as the kernel would call it
  /// Why nothing can be preloaded into it, so that neither layout nor heap can be had.
  std::optional<std::string> no_preload;
  /// Why its memory is not the heap's.
  std::optional<std::string> no_heap;
  bool zend = false;  ///< PHP: its memory is the heap's with USE_ZEND_ALLOC=0 alone
};

/// Finds a program as a shell would, through `path` (the value of PATH) if its name has no slash, and follows
/// `#!` lines, `env` in them too, to the interpreter, so that this is started directly. Throws UsageError
/// with status 127 (not found) or 126 (found, but it cannot be executed).
Program resolve_program(const std::vector<std::string>& command, const std::string& path);

/// What a `#!` line starts.
struct Interpreter {
  std::vector<std::string> words;  ///< the interpreter and its arguments
  bool in_path = false;            ///< to be looked up in PATH, as env does
};

/// Splits a `#!` line as the kernel does (one argument at most) and looks through a plain `env` or `env -S`;
/// an env that is asked for more is itself the interpreter.
Interpreter parse_interpreter(const std::string& first_line);

}  // namespace samepage
