#include "group/program.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "linux/elf_file.hpp"
#include "linux/system_call.hpp"
#include "linux/usage_error.hpp"

namespace samepage {
namespace {

constexpr int kNotExecutable = 126, kNotFound = 127;
constexpr int kDeepestScript = 5;  // as in the kernel's exec

bool is_file(const std::filesystem::path& path) {
  std::error_code missing;
  return std::filesystem::is_regular_file(path, missing);
}

bool is_executable(const std::filesystem::path& path) {
  return is_file(path) && access(path.c_str(), X_OK) == 0;
}

std::filesystem::path find_program(const std::string& name, const std::string& path) {
  if (name.find('/') != name.npos) {
    std::error_code error;
    if (!std::filesystem::exists(name, error))
      throw UsageError(fmt::format("{}: not found", name), kNotFound);
    if (std::filesystem::is_directory(name, error))
      throw UsageError(fmt::format("{}: is a folder", name), kNotExecutable);
    if (!is_executable(name)) throw UsageError(fmt::format("{}: not executable", name), kNotExecutable);
    return name;
  }
  bool seen = false;
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::filesystem::path candidate = std::filesystem::path(folder.empty() ? "." : folder) / name;
    if (is_executable(candidate)) return candidate;
    seen = seen || is_file(candidate);
  }
  if (seen) throw UsageError(fmt::format("{}: found in PATH, but not executable", name), kNotExecutable);
  throw UsageError(fmt::format("{}: not found in PATH", name), kNotFound);
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

/// The first line, and whether there are NULs in the file's first bytes.
struct Beginning {
  std::string line;
  bool binary;  ///< or it may be executed, but not read
};

Beginning beginning_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return {{}, true};
  std::string bytes(256, '\0');  // BINPRM_BUF_SIZE: the kernel looks no further
  stream.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(stream.gcount()));
  return {bytes.substr(0, bytes.find('\n')), bytes.find('\0') != bytes.npos};
}

/// Whether the kernel would give the program rights that its user lacks; the loader then ignores LD_PRELOAD.
bool gains_rights(const std::filesystem::path& file) {
  struct stat info;
  if (stat(file.c_str(), &info) != 0) return false;
  const bool other_user = (info.st_mode & S_ISUID) && info.st_uid != geteuid();
  const bool other_group = (info.st_mode & S_ISGID) && (info.st_mode & S_IXGRP) && info.st_gid != getegid();
  const bool capabilities = geteuid() != 0 && getxattr(file.c_str(), "security.capability", nullptr, 0) > 0;
  return other_user || other_group || capabilities;
}

void inspect(Program& program) {
  const auto elf = read_elf(program.file);
  if (!elf)
    program.no_preload = "it cannot be read";
  else if (gains_rights(program.file))
    program.no_preload = "it runs with another user's rights (setuid or capabilities)";
  else if (!elf->native)
    program.no_preload = "it is built for another architecture";
  else if (elf->interpreter.find("musl") != std::string::npos)
    program.no_preload = "it uses musl, not glibc";
  else if (elf->go)
    program.no_preload = "the Go runtime starts and allocates by itself";
  else if (elf->interpreter.empty())
    program.no_preload = "it is linked statically";
  else if (!elf->starts_in_libc)
    program.no_preload = "it does not start through libc";
  else if (elf->own_malloc)
    program.no_heap = "it has a malloc of its own";
  else if (elf->zend)
    program.zend = true;
}

}  // namespace

Interpreter parse_interpreter(const std::string& first_line) {
  std::string text = first_line.substr(2);
  text.erase(0, text.find_first_not_of(" \t"));
  text.erase(text.find_last_not_of(" \t\r") + 1);
  const auto blank = text.find_first_of(" \t");
  Interpreter plain = [&] {
    Interpreter found{{text.substr(0, blank)}};
    if (blank != text.npos) found.words.push_back(text.substr(text.find_first_not_of(" \t", blank)));
    return found;
  }();
  if (std::filesystem::path(plain.words[0]).filename() != "env" || plain.words.size() == 1) return plain;

  const std::string& argument = plain.words[1];
  const bool split = argument.starts_with("-S");
  const std::vector<std::string> command = split ? words_of(argument.substr(2)) : std::vector{argument};
  const bool quoted = split && argument.find_first_of("\\\"'$#") != argument.npos;
  if (quoted || command.empty() || command[0].starts_with("-") || command[0].find('=') != std::string::npos)
    return plain;
  return {command, true};
}

Program resolve_program(const std::vector<std::string>& command, const std::string& path) {
  Program program;
  program.file = find_program(command.at(0), path);
  program.argv = command;
  program.name = program.file.filename();
  for (int depth = 0; depth < kDeepestScript; ++depth) {
    const Beginning beginning = beginning_of(program.file);
    const std::string script = program.file;
    Interpreter interpreter;
    if (beginning.line.starts_with("#!")) {
      interpreter = parse_interpreter(beginning.line);
    } else if (!beginning.binary) {  // as execvp does with a text without a #! line
      interpreter = {{"sh"}, true};
    } else {
      inspect(program);
      return program;
    }
    const std::string& name = interpreter.words[0];
    if (interpreter.in_path) {
      program.file = find_program(name, path);
      program.name = program.file.filename();
    } else {
      program.file = name;
      if (!is_executable(name))
        throw UsageError(fmt::format("{}: its interpreter '{}' cannot be executed", script, name),
                         kNotExecutable);
    }
    program.argv[0] = script;
    program.argv.insert(program.argv.begin(), interpreter.words.begin(), interpreter.words.end());
  }
  throw UsageError(fmt::format("{}: too many scripts that interpret scripts", command[0]), kNotExecutable);
}

}  // namespace samepage
