#include "group/process_share.hpp"

#include <unistd.h>

#include <algorithm>

#include "store/holder.h"

namespace samepage {
namespace {

constexpr std::uint64_t kBytesPerRmapItem = 64;  // struct ksm_rmap_item

std::uint64_t page_kb() {
  static const auto size = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 1024;
  return size;
}

bool is_of_store(const Mapping& mapping) {
  return !mapping.shared && mapping.name.starts_with(STORE_MAPPING_NAME);
}

bool is_of_library(const Mapping& mapping) {
  return !mapping.shared && mapping.inode && !is_of_store(mapping) && mapping.name != "/dev/zero";
}

/// What its mappings tell one by one, which smaps_rollup does not.
void add_mappings(const ProcFs& proc, pid_t pid, LibraryData libraries, ProcessShare& share) {
  if (libraries == LibraryData::left_out) {
    const auto maps = proc.maps(pid);
    if (!maps || std::none_of(maps->begin(), maps->end(), is_of_store)) return;
  }
  const auto smaps = proc.smaps(pid);
  if (!smaps) return;
  std::uint64_t data = 0;
  for (const Mapping& mapping : *smaps) {
    const std::uint64_t held = mapping.rss_kb + mapping.swap_kb, size = (mapping.end - mapping.start) / 1024;
    if (is_of_store(mapping)) share.given_back += size - std::min(size, held);
    // A file's own pages are dirty too if nobody has written them back, as in tmpfs.
    if (is_of_library(mapping)) data += std::min(mapping.private_dirty_kb, mapping.anonymous_kb);
  }
  if (libraries == LibraryData::counted) share.library_data_kb = data;
}

}  // namespace

std::optional<ProcessShare> process_share(const ProcFs& proc, pid_t pid, LibraryData libraries) {
  ProcessShare share;
  add_mappings(proc, pid, libraries, share);  // first: what is given back now counts once
  const auto memory = proc.smaps_rollup(pid);
  const auto status = proc.status(pid);
  if (memory.denied && status && status->vm_rss) {  // an upper bound, so that nothing is flattered
    share.rss = share.pss = *status->vm_rss;
    share.hidden = true;
    return share;
  }
  if (!memory) return std::nullopt;
  share.rss = memory->rss;
  share.pss = memory->pss;
  share.shmem_pss = memory->pss_shmem;
  share.private_kb = memory->private_clean + memory->private_dirty;
  if (share.library_data_kb) share.library_data_kb = std::min(*share.library_data_kb, share.private_kb);
  share.shared_kb = memory->shared_clean + memory->shared_dirty;
  const std::uint64_t data = memory->anonymous + (status ? status->rss_shmem.value_or(0) : 0);
  share.shared_data_kb = std::min(share.shared_kb, data - std::min(data, memory->private_dirty));
  share.swapped_pss = memory->swap_pss.value_or(0);
  share.page_tables = status ? status->vm_pte.value_or(0) : 0;
  const auto ksm = proc.ksm_stat(pid);
  share.ksm_items = ksm ? ksm->rmap_items.value_or(0) * kBytesPerRmapItem / 1024 : 0;
  share.ksm = memory->ksm;
  if (!share.ksm && ksm && ksm->merging_pages) share.ksm = *ksm->merging_pages * page_kb();
  return share;
}

}  // namespace samepage
