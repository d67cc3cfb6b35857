#include "ksm/knobs.hpp"

#include <charconv>

namespace samepage {
namespace {

constexpr const char* kNice = "ksmd_nice";

std::optional<KsmSetting> setting_of(const std::string& name) {
  if (name == "run") return KsmSetting::run;
  if (name == "pages_to_scan") return KsmSetting::pages_to_scan;
  if (name == "sleep_millisecs") return KsmSetting::sleep_millisecs;
  if (name == "advisor_mode") return KsmSetting::advisor_mode;
  if (name == "smart_scan") return KsmSetting::smart_scan;
  return std::nullopt;
}

std::optional<int> number(const std::string& text) {
  int value = 0;
  auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> KsmKnobs::get(const std::string& name) const {
  if (name == kNice) {
    std::optional<int> nice = ksmd_ ? ksmd_->nice() : std::nullopt;
    return nice ? std::optional(std::to_string(*nice)) : std::nullopt;
  }
  std::optional<KsmSetting> setting = setting_of(name);
  if (!setting) return std::nullopt;
  KsmRead read = sysfs_.read(*setting);
  return read.access == KsmAccess::ok ? std::optional(read.value) : std::nullopt;
}

bool KsmKnobs::set(const std::string& name, const std::string& value) const {
  if (name == kNice) {
    std::optional<int> nice = number(value);
    return ksmd_ && nice && ksmd_->set_nice(*nice);
  }
  std::optional<KsmSetting> setting = setting_of(name);
  return setting && sysfs_.write(*setting, value) == KsmAccess::ok;
}

}  // namespace samepage
