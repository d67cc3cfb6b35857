#include "ksm/adopt.hpp"

#define FMT_HEADER_ONLY
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "linux/ksm_sysfs.hpp"
#include "linux/proc_fs.hpp"
#include "linux/system_call.hpp"

namespace samepage {
namespace {

using State = AdoptResult::State;

constexpr long kSetMemoryMerge = 67;  // PR_SET_MEMORY_MERGE, which Debian 12's headers lack

// Un-merging copies pages with the address space locked: so a piece at a time.
constexpr std::uint64_t kUnmergeAtOnce = 64 << 20;
constexpr std::uint64_t kReserve = 128 << 20;

SystemCall advice(const AddressRange& range, int what) {
  return {SYS_madvise, {range.start, range.bytes(), static_cast<std::uint64_t>(what)}};
}

SystemCall memory_merge(bool on) {
  return {SYS_prctl, {kSetMemoryMerge, on}};
}

AdoptResult result_of(const RemoteAnswer& answer) {
  AdoptResult result;
  result.longest_stop = answer.longest_stop;
  result.refusal = answer.refusal;
  if (answer.refusal != RemoteRefusal::none) {
    result.state = State::refused;
    result.why = answer.why;
  }
  return result;
}

AdoptResult advise(pid_t pid, std::span<const AddressRange> ranges, int what) {
  std::vector<SystemCall> calls;
  for (const AddressRange& range : ranges) calls.push_back(advice(range, what));
  const RemoteAnswer answer = call_in_process(pid, calls);
  AdoptResult result = result_of(answer);
  for (std::size_t i = 0; i < answer.results.size(); ++i) {
    // ENOMEM: a gap in the range; all the rest of it was advised.
    if (answer.results[i] == 0 || answer.results[i] == -ENOMEM) {
      result.bytes += ranges[i].bytes();
    } else if (result.state == State::done) {
      const int error = static_cast<int>(-answer.results[i]);
      const bool no_ksm = error == EINVAL && KsmSysfs().read(KsmSetting::run).access == KsmAccess::missing;
      result.state = no_ksm ? State::not_supported : State::partly;
      result.why = no_ksm ? "this kernel has no KSM"
                          : fmt::format("process {}: {:#x}-{:#x}: {}", pid, ranges[i].start, ranges[i].end,
                                        error_text(error));
    }
  }
  return result;
}

std::vector<AddressRange> pieces(std::span<const AddressRange> ranges) {
  std::vector<AddressRange> pieces;
  for (const AddressRange& range : ranges)
    for (std::uint64_t at = range.start; at < range.end; at += kUnmergeAtOnce)
      pieces.push_back({at, std::min(range.end, at + kUnmergeAtOnce)});
  return pieces;
}

std::vector<AddressRange> registered(pid_t pid) {
  std::vector<AddressRange> ranges;
  if (const auto mappings = ProcFs().smaps(pid))
    for (const Mapping& mapping : *mappings) {
      if (!mapping.mergeable) continue;
      if (!ranges.empty() && ranges.back().end == mapping.start)
        ranges.back().end = mapping.end;
      else
        ranges.push_back({mapping.start, mapping.end});
    }
  return ranges;
}

/// Whether there is room for a copy of every page that the process has merged.
std::optional<AdoptResult> too_little_memory(pid_t pid, MemoryCheck check) {
  if (check == MemoryCheck::no) return std::nullopt;
  const auto stat = ProcFs().ksm_stat(pid);
  const auto available_kb = ProcFs().meminfo().available;
  if (!stat || !stat->merging_pages || !available_kb) return std::nullopt;
  const std::uint64_t needed = *stat->merging_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (needed + kReserve <= *available_kb * 1024 || needed == 0) return std::nullopt;
  AdoptResult result;
  result.state = State::no_memory;
  result.why = fmt::format("process {} has {} MB merged, and {} MB of memory are free", pid, needed >> 20,
                           *available_kb >> 10);
  return result;
}

}  // namespace

AdoptResult adopt_ranges(pid_t pid, std::span<const AddressRange> ranges) {
  return advise(pid, ranges, MADV_MERGEABLE);
}

AdoptResult adopt_whole(pid_t pid) {
  const SystemCall calls[] = {memory_merge(true)};
  const RemoteAnswer answer = call_in_process(pid, calls);
  AdoptResult result = result_of(answer);
  if (answer.results.empty() || answer.results[0] == 0) return result;
  const int error = static_cast<int>(-answer.results[0]);
  result.state = error == EINVAL ? State::not_supported : State::partly;
  result.why = error == EINVAL
                   ? "this kernel cannot register whole processes (Linux 6.4); adopt ranges instead"
                   : fmt::format("process {}: {}", pid, error_text(error));
  return result;
}

AdoptResult release_ranges(pid_t pid, std::span<const AddressRange> ranges, MemoryCheck check) {
  if (const auto refused = too_little_memory(pid, check)) return *refused;
  return advise(pid, pieces(ranges), MADV_UNMERGEABLE);
}

AdoptResult release(pid_t pid, MemoryCheck check) {
  if (const auto refused = too_little_memory(pid, check)) return *refused;
  const std::vector<AddressRange> before = registered(pid);
  // Where the whole process was registered, this un-merges it all; elsewhere, and on a kernel without it, it
  // does nothing.
  const SystemCall calls[] = {memory_merge(false)};
  AdoptResult result = result_of(call_in_process(pid, calls));
  if (!result) return result;
  std::uint64_t bytes = 0;
  for (const AddressRange& range : before) bytes += range.bytes();
  if (const std::vector<AddressRange> rest = registered(pid); !rest.empty()) {
    const double stop = result.longest_stop;
    result = release_ranges(pid, rest, MemoryCheck::no);
    result.longest_stop = std::max(stop, result.longest_stop);
  }
  if (result) result.bytes = bytes;
  return result;
}

}  // namespace samepage
