#pragma once

#include <cstdint>
#include <optional>

#include "linux/proc_fs.hpp"

namespace samepage {

/// What a process takes of the machine's memory at one moment, in kB.
struct ProcessShare {
  std::uint64_t rss = 0, pss = 0, private_kb = 0, shared_kb = 0;
  /// Of what is private: written pages of mapped files, as .data and relocated constants; nothing if not
  /// counted.
  std::optional<std::uint64_t> library_data_kb;
  std::uint64_t shared_data_kb = 0;  ///< of what is shared: anonymous or shared memory, not code and files
  /// Of pss: memory files, the store's among them, and shared memory; absent where it cannot be told.
  std::optional<std::uint64_t> shmem_pss;
  std::uint64_t swapped_pss = 0, page_tables = 0;
  std::uint64_t given_back = 0;      ///< to the store: not in the RSS until it is read or written again
  std::uint64_t ksm_items = 0;       ///< what the kernel keeps to merge its pages
  std::optional<std::uint64_t> ksm;  ///< merged; absent where the kernel does not tell
  bool hidden = false;               ///< may not be looked into: only rss and pss are known, both the RSS

  /// An estimate of what it would take without sharing.
  std::uint64_t alone_kb() const { return rss + given_back; }
  std::uint64_t together_kb() const { return pss + swapped_pss + page_tables + ksm_items; }
};

enum class LibraryData { left_out, counted };

/// Walks its page tables, which takes the longer the more memory it holds: twice if it maps from the store,
/// or for the data of libraries. Nothing if it has no memory: it has ended, or is a kernel thread.
std::optional<ProcessShare> process_share(const ProcFs& proc, pid_t pid,
                                          LibraryData libraries = LibraryData::left_out);

}  // namespace samepage
