#include "group/store_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <map>

#include "linux/system_call.hpp"
#include "store/control.h"
#include "store/key.h"
#include "store/pages.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U  // Linux 6.3; without it memfd_create fails where vm.memfd_noexec is 2
#endif

namespace samepage {
namespace {

constexpr int kFirst = 256;  // where nobody else has descriptors
constexpr std::chrono::seconds kLookAgain{10};
constexpr int kCost = 50;  // a look may take 1/50 of the time

UniqueFd memory_file(off_t size) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd file(memfd_create(STORE_FILE_NAME, kFlags | MFD_NOEXEC_SEAL));
  if (!file && errno == EINVAL) file = UniqueFd(memfd_create(STORE_FILE_NAME, kFlags));
  if (file && ftruncate(file.get(), size) != 0) file = UniqueFd();
  return file;
}

using Files = std::map<std::uint64_t, std::size_t>;  // by inode, numbers

bool has_ended(const ProcFs& proc, pid_t pid) {
  const auto stat = proc.stat(pid);
  return stat ? stat->state == 'Z' || stat->state == 'X' : kill(pid, 0) != 0 && errno == ESRCH;
}

/// False if it cannot be told of one of the processes.
bool leave_out_mapped(const ProcFs& proc, const std::vector<ProcessId>& processes, Files& files) {
  for (const ProcessId& process : processes) {
    const auto pid = static_cast<pid_t>(process.pid);
    const auto maps = proc.maps(pid);
    if (!maps && !has_ended(proc, pid)) return false;
    if (!maps) continue;
    for (const Mapping& mapping : *maps)
      if (mapping.name.starts_with(STORE_MAPPING_NAME)) files.erase(mapping.inode);
  }
  return true;
}

}  // namespace

std::optional<StoreFiles> StoreFiles::make(std::string& why_not) {
  StoreFiles store;
  for (int i = 0; i <= STORE_FILES; ++i) {
    const UniqueFd file = memory_file(i == 0 ? off_t{STORE_CONTROL} : off_t{STORE_BLOCK});
    UniqueFd placed(file ? fcntl(file.get(), F_DUPFD_CLOEXEC, kFirst + i) : -1);
    if (!placed || placed.get() != kFirst + i) break;
    store.files_.push_back(std::move(placed));
  }
  if (store.files_.size() < 2 ||
      fcntl(store.files_.front().get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    why_not = fmt::format("no memory files for the store ({}): copies share only what a fork shares",
                          error_text(errno));
    return std::nullopt;
  }
  return store;
}

std::optional<StoreFiles> StoreFiles::adopt(const std::vector<UniqueFd>& files) {
  StoreFiles store;
  for (const UniqueFd& file : files) {
    const int wanted = kFirst + static_cast<int>(store.files_.size());
    UniqueFd placed(fcntl(file.get(), F_DUPFD_CLOEXEC, wanted));
    if (!placed || placed.get() != wanted) return std::nullopt;
    store.files_.push_back(std::move(placed));
  }
  return store.files_.size() < 2 ? std::nullopt : std::optional(std::move(store));
}

std::vector<int> StoreFiles::descriptors() const {
  std::vector<int> numbers;
  numbers.reserve(files_.size());
  for (const UniqueFd& file : files_) numbers.push_back(file.get());
  return numbers;
}

void StoreFiles::give_up_unmapped(const ProcFs& proc, const std::vector<ProcessId>& processes) {
  store_control control{};
  if (pread(files_.front().get(), &control, sizeof control, 0) != sizeof control) return;
  std::uint64_t left = 0;
  std::size_t spare = 0;
  for (std::size_t i = 1; i < files_.size(); ++i) {
    left += control.entries[i - 1].left;
    spare += control.entries[i - 1].key == 0;
  }
  const auto now = std::chrono::steady_clock::now();
  if (processes.empty() || now < not_before_ || (left == left_ && now < look_again_)) return;
  left_ = left;
  look_again_ = now + kLookAgain;
  Files unmapped;
  for (std::size_t i = 1; i < files_.size(); ++i) {
    const store_entry& entry = control.entries[i - 1];
    struct stat status;
    // For what came later nobody will ask again: that another file is not taken for.
    const bool costs_none = store_key_number(entry.key) > STORE_LAYERS;
    if (entry.state == STORE_PUBLISHED && (costs_none || spare >= files_.size() / 2) &&
        (entry.left > 0 || has_ended(proc, entry.publisher)) && fstat(files_[i].get(), &status) == 0)
      unmapped[status.st_ino] = i;
  }
  if (unmapped.empty()) return;
  const bool known = leave_out_mapped(proc, processes, unmapped);
  not_before_ = std::chrono::steady_clock::now() + kCost * (std::chrono::steady_clock::now() - now);
  if (!known) return;
  for (const auto& [inode, i] : unmapped) {
    // One that is about to map it does so alone; those to come find another file for these constants.
    const unsigned state = STORE_ABANDONED;
    const std::size_t at =
        offsetof(store_control, entries) + (i - 1) * sizeof(store_entry) + offsetof(store_entry, state);
    const UniqueFd empty = memory_file(0);
    if (empty && pwrite(files_.front().get(), &state, sizeof state, static_cast<off_t>(at)) == sizeof state)
      dup3(empty.get(), files_[i].get(), O_CLOEXEC);
  }
}

StoreFiles::Size StoreFiles::size(const std::set<int>& processes) const {
  Size size;
  store_control control{};
  if (pread(files_.front().get(), &control, sizeof control, 0) != sizeof control) return size;
  for (std::size_t i = 1; i < files_.size(); ++i) {
    struct stat status;
    if (fstat(files_[i].get(), &status) != 0) continue;
    const std::uint64_t kb = static_cast<std::uint64_t>(status.st_blocks) / 2;
    size.all_kb += kb;
    if (processes.contains(control.entries[i - 1].publisher)) size.charged_here_kb += kb;
  }
  return size;
}

std::string StoreFiles::address() const {
  return fmt::format("{}:{}:{}:{}", STORE_HOLDER_VERSION, getpid(), files_.front().get(), files_.size() - 1);
}

}  // namespace samepage
