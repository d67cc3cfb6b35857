#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>
#include <string>

#include "linux/remote_calls.hpp"

namespace samepage {

/// Whole pages of a process, by address; `end` is the first byte behind them.
struct AddressRange {
  std::uint64_t start = 0, end = 0;
  std::uint64_t bytes() const { return end - start; }
  bool operator==(const AddressRange&) const = default;
};

/// What became of an adoption or a release.
struct AdoptResult {
  enum class State {
    done,
    refused,        ///< by the process; `refusal` says why
    not_supported,  ///< by this kernel: no KSM, or no PR_SET_MEMORY_MERGE (Linux 6.4)
    no_memory,      ///< the machine cannot hold what would be un-merged
    partly,         ///< some of the ranges could not be registered, or released
  };
  State state = State::done;
  RemoteRefusal refusal = RemoteRefusal::none;
  std::string why;          ///< one line for people, with the PID; empty when done
  std::uint64_t bytes = 0;  ///< of address space that the calls covered; of a whole process not counted
  double longest_stop = 0;  ///< seconds for which one thread of the process stood still

  explicit operator bool() const { return state == State::done; }
};

// Opting a running process in and out, with no help of its own. One of its threads is stopped for an instant
// and makes the call (linux/remote_calls.hpp says how, and what it needs). What KSM does with the memory is
// another matter: it must run (lease.hpp). May be called from several threads, for different processes.
//
// The kernel's rules: KSM takes private anonymous memory alone, and passes over the rest without a word
// (madvise(2)). The registration of ranges is inherited by fork and lost with exec; that of a whole process
// holds for what it will map, and from Linux 6.7 on through exec.

/// madvise(MADV_MERGEABLE). Ranges that have been unmapped meanwhile are passed over.
AdoptResult adopt_ranges(pid_t pid, std::span<const AddressRange> ranges);

/// prctl(PR_SET_MEMORY_MERGE): everything that the process has and will have (Linux 6.4).
AdoptResult adopt_whole(pid_t pid);

enum class MemoryCheck { yes, no };

/// madvise(MADV_UNMERGEABLE): each merged page in the ranges becomes the process's own again.
/// Refused as no_memory when the machine has not as much free as the process has merged pages, and a reserve.
AdoptResult release_ranges(pid_t pid, std::span<const AddressRange> ranges,
                           MemoryCheck check = MemoryCheck::yes);

/// All of the process, whoever registered it.
AdoptResult release(pid_t pid, MemoryCheck check = MemoryCheck::yes);

}  // namespace samepage
