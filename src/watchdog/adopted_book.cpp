#include "watchdog/adopted_book.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <sstream>

#include "linux/unique_fd.hpp"

namespace samepage {
namespace {

constexpr int kVersion = 1;

/// Empty when there is no file that we alone could have written.
std::string own_text(const std::filesystem::path& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || status.st_uid != ::geteuid() ||
      (status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return {};
  std::string text;
  char buffer[4096];
  for (ssize_t size; (size = ::read(fd.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(size));
  return text;
}

}  // namespace

AdoptedBook::AdoptedBook(std::filesystem::path file) : file_(std::move(file)) {
  try {
    const auto json = nlohmann::json::parse(own_text(file_));
    if (json.at("version") != kVersion) return;
    for (const auto& process : json.at("processes"))
      entries_[process.at("pid").get<pid_t>()] = {
          process.at("start_time").get<std::uint64_t>(),
          process.at("state") == "adopted" ? State::adopted : State::refused};
  } catch (const nlohmann::json::exception&) {
    entries_.clear();
  }
}

AdoptedBook::State AdoptedBook::state(pid_t pid, std::uint64_t start_time) const {
  const auto entry = entries_.find(pid);
  return entry != entries_.end() && entry->second.start_time == start_time ? entry->second.state
                                                                           : State::unknown;
}

void AdoptedBook::set(pid_t pid, std::uint64_t start_time, State state) {
  entries_[pid] = {start_time, state};
  changed_ = true;
}

void AdoptedBook::save() {
  if (!changed_) return;
  if (entries_.empty()) {
    changed_ = ::unlink(file_.c_str()) != 0 && errno != ENOENT;
    return;
  }
  nlohmann::json json = {{"version", kVersion}, {"processes", nlohmann::json::array()}};
  for (const auto& [pid, entry] : entries_)
    json["processes"].push_back({{"pid", pid},
                                 {"start_time", entry.start_time},
                                 {"state", entry.state == State::adopted ? "adopted" : "refused"}});
  const std::string text = json.dump(1) + '\n';
  const std::filesystem::path draft = file_.native() + ".new";
  const UniqueFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (fd && ::fchmod(fd.get(), 0644) == 0 &&
      ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::rename(draft.c_str(), file_.c_str()) == 0)
    changed_ = false;
}

}  // namespace samepage
