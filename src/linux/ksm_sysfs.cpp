#include "linux/ksm_sysfs.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

#include "linux/unique_fd.hpp"

namespace samepage {
namespace {

const char* file_name(KsmSetting setting) {
  switch (setting) {
    case KsmSetting::run:
      return "run";
    case KsmSetting::pages_to_scan:
      return "pages_to_scan";
    case KsmSetting::sleep_millisecs:
      return "sleep_millisecs";
    case KsmSetting::advisor_mode:
      return "advisor_mode";
    case KsmSetting::smart_scan:
      return "smart_scan";
  }
  return "";
}

KsmAccess access_of(int error) {
  switch (error) {
    case 0:
      return KsmAccess::ok;
    case ENOENT:
      return KsmAccess::missing;
    case EACCES:
    case EPERM:
    case EROFS:
      return KsmAccess::denied;
    default:
      return KsmAccess::refused;
  }
}

UniqueFd open_file(const std::filesystem::path& path, int flags) {
  return UniqueFd(::open(path.c_str(), flags | O_CLOEXEC));
}

/// sysfs gives at most a page, and all of it in one read.
KsmRead read_file(const std::filesystem::path& path) {
  UniqueFd file = open_file(path, O_RDONLY);
  if (!file) return {access_of(errno), {}};
  std::array<char, 4096> text;
  ssize_t size = ::read(file.get(), text.data(), text.size());
  if (size < 0) return {access_of(errno), {}};
  std::string value(text.data(), static_cast<std::size_t>(size));
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return {KsmAccess::ok, value};
}

KsmAccess write_file(const std::filesystem::path& path, std::string_view value) {
  // O_TRUNC means nothing to sysfs; the ordinary files of a test need it.
  UniqueFd file = open_file(path, O_WRONLY | O_TRUNC);
  if (!file) return access_of(errno);
  ssize_t written = ::write(file.get(), value.data(), value.size());
  return access_of(written < 0 ? errno : 0);
}

template <typename Number>
std::optional<Number> read_number(const std::filesystem::path& path) {
  KsmRead text = read_file(path);
  if (text.access != KsmAccess::ok) return std::nullopt;
  const char* end = text.value.data() + text.value.size();
  Number number = 0;
  auto [stop, error] = std::from_chars(text.value.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::string chosen_word(const std::string& choices) {
  std::size_t open = choices.find('['), close = choices.find(']');
  if (open == std::string::npos || close == std::string::npos || close < open) return choices;
  return choices.substr(open + 1, close - open - 1);
}

}  // namespace

KsmRead KsmSysfs::read(KsmSetting setting) const {
  KsmRead result = read_file(root_ / file_name(setting));
  result.value = chosen_word(result.value);
  return result;
}

std::optional<std::string> KsmSysfs::text(const char* file) const {
  const KsmRead result = read_file(root_ / file);
  return result.access == KsmAccess::ok ? std::optional(chosen_word(result.value)) : std::nullopt;
}

KsmCounters KsmSysfs::counters() const {
  auto count = [this](const char* name) { return read_number<std::uint64_t>(root_ / name); };
  return {
      .pages_shared = count("pages_shared"),
      .pages_sharing = count("pages_sharing"),
      .pages_unshared = count("pages_unshared"),
      .pages_volatile = count("pages_volatile"),
      .pages_scanned = count("pages_scanned"),
      .full_scans = count("full_scans"),
      .ksm_zero_pages = count("ksm_zero_pages"),
      .general_profit = read_number<std::int64_t>(root_ / "general_profit"),
  };
}

KsmBounds KsmSysfs::bounds() const {
  return {.max_page_sharing = read_number<std::uint64_t>(root_ / "max_page_sharing"),
          .merge_across_nodes = read_number<std::uint64_t>(root_ / "merge_across_nodes")};
}

KsmAccess KsmSysfs::write(KsmSetting setting, std::string_view value) const {
  if (setting == KsmSetting::run && value != "0" && value != "1") return KsmAccess::refused;
  return write_file(root_ / file_name(setting), value);
}

KsmAccess KsmSysfs::unmerge_host() const {
  return write_file(root_ / file_name(KsmSetting::run), "2");
}

KsmAccess KsmSysfs::writable(KsmSetting setting) const {
  return open_file(root_ / file_name(setting), O_WRONLY) ? KsmAccess::ok : access_of(errno);
}

}  // namespace samepage
