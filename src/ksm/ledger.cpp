#include "ksm/ledger.hpp"

#define FMT_HEADER_ONLY
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "linux/system_call.hpp"

namespace samepage {
namespace {

constexpr int kVersion = 1;

std::filesystem::path record_path(const std::filesystem::path& directory) {
  return directory / "ksm.json";
}

bool only_we_write(const struct stat& status) {
  return status.st_uid == ::geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

std::optional<std::string> read_all(int fd) {
  std::string text;
  char buffer[4096];
  ssize_t size;
  while ((size = ::read(fd, buffer, sizeof buffer)) > 0) text.append(buffer, static_cast<std::size_t>(size));
  if (size < 0) return std::nullopt;
  return text;
}

KsmRecord record_of(const nlohmann::json& json) {
  KsmRecord record;
  for (const auto& holder : json.at("holders"))
    record.holders.push_back({holder.at("pid").get<pid_t>(), holder.at("start_time").get<std::uint64_t>()});
  for (const auto& change : json.at("changes"))
    record.changes.push_back({change.at("knob").get<std::string>(), change.at("found").get<std::string>(),
                              change.at("ours").get<std::string>()});
  return record;
}

nlohmann::json json_of(const KsmRecord& record) {
  nlohmann::json json = {
      {"version", kVersion}, {"holders", nlohmann::json::array()}, {"changes", nlohmann::json::array()}};
  for (const KsmHolder& holder : record.holders)
    json["holders"].push_back({{"pid", holder.pid}, {"start_time", holder.start_time}});
  for (const KsmChange& change : record.changes)
    json["changes"].push_back({{"knob", change.knob}, {"found", change.found}, {"ours", change.ours}});
  return json;
}

}  // namespace

std::optional<KsmLedger> KsmLedger::open(const std::filesystem::path& directory, std::string& why_not) {
  // The mask of the caller may not take the reading right from others.
  if (::mkdir(directory.c_str(), 0755) == 0) {
    ::chmod(directory.c_str(), 0755);
  } else if (errno != EEXIST) {
    why_not = fmt::format("cannot make {}: {}", directory.native(), error_text(errno));
    return std::nullopt;
  }
  struct stat status {};
  if (::lstat(directory.c_str(), &status) != 0 || !S_ISDIR(status.st_mode) || !only_we_write(status)) {
    why_not = fmt::format("{} is not a directory that we alone may write", directory.native());
    return std::nullopt;
  }
  // Mode 0600: any user who can open a file can hold its lock.
  std::filesystem::path path = directory / "ksm.lock";
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock || uninterrupted([&] { return ::flock(lock.get(), LOCK_EX); }) != 0) {
    why_not = fmt::format("cannot lock {}: {}", path.native(), error_text(errno));
    return std::nullopt;
  }
  return KsmLedger(directory, std::move(lock));
}

bool KsmLedger::exists(const std::filesystem::path& directory) {
  return ::access(record_path(directory).c_str(), F_OK) == 0;
}

std::optional<KsmRecord> KsmLedger::load() const {
  UniqueFd file(::open(record_path(directory_).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return errno == ENOENT ? std::optional(KsmRecord()) : std::nullopt;
  struct stat status {};
  bool believed = ::fstat(file.get(), &status) == 0 && only_we_write(status);
  std::optional<std::string> text = believed ? read_all(file.get()) : std::nullopt;
  if (!text) return std::nullopt;
  try {
    nlohmann::json json = nlohmann::json::parse(*text);
    if (json.at("version") != kVersion) return std::nullopt;
    return record_of(json);
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

bool KsmLedger::save(const KsmRecord& record) const {
  std::filesystem::path path = record_path(directory_), draft = directory_ / "ksm.json.new";
  UniqueFd file(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!file) return false;
  std::string text = json_of(record).dump(1) + '\n';
  bool written = ::fchmod(file.get(), 0644) == 0 &&
                 ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
  return written && ::rename(draft.c_str(), path.c_str()) == 0;
}

void KsmLedger::clear() const {
  ::unlink(record_path(directory_).c_str());
}

}  // namespace samepage
