#include "linux/proc_fs.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>

#include "linux/system_call.hpp"
#include "linux/unique_fd.hpp"

namespace samepage {
namespace {

bool is_denial(int error) {
  return error == EACCES || error == EPERM;
}

/// Names in a folder except "." and ".."; errno tells why there are none.
ProcRead<std::vector<std::string>> names_in(const std::filesystem::path& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(opendir(folder.c_str()), closedir);
  if (!stream) return {std::nullopt, is_denial(errno)};
  std::vector<std::string> names;
  while (const dirent* entry = readdir(stream.get()))
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  return {std::move(names)};
}

std::vector<pid_t> numbers_in(const std::vector<std::string>& names) {
  std::vector<pid_t> numbers;
  for (const std::string& name : names) {
    pid_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc{} && end == name.data() + name.size()) numbers.push_back(number);
  }
  return numbers;
}

template <typename Text, typename Parse>
auto parsed(const ProcRead<Text>& text, Parse parse) -> ProcRead<decltype(parse(*text))> {
  if (!text) return {std::nullopt, text.denied};
  return {parse(*text)};
}

}  // namespace

ProcRead<std::string> ProcFs::text(const std::string& file) const {
  const std::string path = root_ / file;
  const UniqueFd fd(uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
  if (!fd) return {std::nullopt, is_denial(errno)};
  std::string all;
  char buffer[4096];
  while (true) {
    const ssize_t got = uninterrupted([&] { return read(fd.get(), buffer, sizeof buffer); });
    if (got < 0) return {std::nullopt, is_denial(errno)};
    if (got == 0) return {std::move(all)};
    all.append(buffer, static_cast<std::size_t>(got));
  }
}

ProcRead<std::string> ProcFs::text(pid_t pid, const char* file) const {
  return text(std::to_string(pid) + '/' + file);
}

std::vector<pid_t> ProcFs::pids() const {
  const auto names = names_in(root_);
  return names ? numbers_in(*names) : std::vector<pid_t>{};
}

ProcRead<ProcStat> ProcFs::stat(pid_t pid) const {
  const auto content = text(pid, "stat");
  if (!content) return {std::nullopt, content.denied};
  return {parse_proc_stat(*content)};
}

ProcRead<ProcStatus> ProcFs::status(pid_t pid) const {
  return parsed(text(pid, "status"), parse_proc_status);
}

ProcRead<SmapsRollup> ProcFs::smaps_rollup(pid_t pid) const {
  const auto content = text(pid, "smaps_rollup");
  if (!content) return {std::nullopt, content.denied};
  return {parse_smaps_rollup(*content)};
}

ProcRead<KsmStat> ProcFs::ksm_stat(pid_t pid) const {
  auto stat = parsed(text(pid, "ksm_stat"), parse_ksm_stat);
  if (stat && !stat->merging_pages)
    if (const auto pages = text(pid, "ksm_merging_pages"))
      stat.value->merging_pages = parse_ksm_stat("ksm_merging_pages " + *pages).merging_pages;
  return stat;
}

ProcRead<std::vector<Mapping>> ProcFs::smaps(pid_t pid) const {
  return parsed(text(pid, "smaps"), parse_smaps);
}

ProcRead<std::vector<Mapping>> ProcFs::maps(pid_t pid) const {
  return parsed(text(pid, "maps"), parse_smaps);
}

ProcRead<std::vector<std::string>> ProcFs::cgroups(pid_t pid) const {
  return parsed(text(pid, "cgroup"), parse_cgroups);
}

ProcRead<std::string> ProcFs::executable(pid_t pid) const {
  char target[4096];
  const std::string link = root_ / std::to_string(pid) / "exe";
  const ssize_t size = readlink(link.c_str(), target, sizeof target);
  if (size < 0) return {std::nullopt, is_denial(errno)};
  return {std::string(target, static_cast<std::size_t>(size))};
}

ProcRead<std::vector<std::string>> ProcFs::cmdline(pid_t pid) const {
  return parsed(text(pid, "cmdline"), parse_strings);
}

ProcRead<std::vector<std::string>> ProcFs::environ(pid_t pid) const {
  return parsed(text(pid, "environ"), parse_strings);
}

ProcRead<std::vector<pid_t>> ProcFs::threads(pid_t pid) const {
  return parsed(names_in(root_ / std::to_string(pid) / "task"), numbers_in);
}

ProcRead<std::map<int, std::string>> ProcFs::open_files(pid_t pid) const {
  const auto folder = root_ / std::to_string(pid) / "fd";
  return parsed(names_in(folder), [&](const std::vector<std::string>& names) {
    std::map<int, std::string> targets;
    for (const int number : numbers_in(names)) {
      std::error_code gone;
      targets[number] = std::filesystem::read_symlink(folder / std::to_string(number), gone).string();
    }
    return targets;
  });
}

ProcRead<bool> ProcFs::has_timers(pid_t pid) const {
  return parsed(text(pid, "timers"), [](const std::string& timers) { return !timers.empty(); });
}

MemInfo ProcFs::meminfo() const {
  const auto content = text("meminfo");
  return content ? parse_meminfo(*content) : MemInfo{};
}

Pressure ProcFs::pressure(const char* resource) const {
  const auto content = text(std::string("pressure/") + resource);
  return content ? parse_pressure(*content) : Pressure{};
}

}  // namespace samepage
