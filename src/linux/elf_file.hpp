#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace samepage {

/// What an executable's headers and symbols say about how it can be started.
struct ElfFacts {
  bool native = false;          ///< this machine's class and architecture
  std::string interpreter;      ///< the dynamic loader; empty: linked statically
  bool starts_in_libc = false;  ///< calls libc's __libc_start_main
  bool own_malloc = false;      ///< defines malloc itself
  bool zend = false;            ///< PHP's engine, which exports its own allocator to extensions
  bool go = false;              ///< built by the Go tool chain
};

/// Nothing if the file cannot be read or is no ELF file.
std::optional<ElfFacts> read_elf(const std::filesystem::path& file);

}  // namespace samepage
