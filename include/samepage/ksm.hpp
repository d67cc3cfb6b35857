/// The kernel's Samepage Merging from C++. See samepage.h for what each does.
#pragma once

#include <samepage/samepage.h>

#include <cstddef>
#include <string>

namespace samepage {

/// Memory that KSM may merge for as long as this object lives.
class KsmRegistration {
 public:
  KsmRegistration(const void* begin, std::size_t size) noexcept
      : begin_(begin), size_(samepage_ksm_register(begin, size) == SAMEPAGE_OK ? size : 0) {}
  ~KsmRegistration() {
    if (size_) samepage_ksm_deregister(begin_, size_);
  }
  KsmRegistration(const KsmRegistration&) = delete;
  KsmRegistration& operator=(const KsmRegistration&) = delete;

  /// False where the kernel refused.
  explicit operator bool() const noexcept { return size_ != 0; }

 private:
  const void* begin_;
  std::size_t size_;
};

/// False where the kernel refused.
inline bool ksm_register_all() noexcept {
  return samepage_ksm_register_all() == SAMEPAGE_OK;
}
inline bool ksm_deregister_all() noexcept {
  return samepage_ksm_deregister_all() == SAMEPAGE_OK;
}

using KsmStatistics = samepage_ksm_stats;

/// All zero where the kernel tells nothing.
inline KsmStatistics ksm_statistics() noexcept {
  KsmStatistics statistics{};
  samepage_ksm_statistics(&statistics);
  return statistics;
}

/// Empty when the watchdog took the request, else one line that says why not.
inline std::string ksm_burst() {
  char reason[256] = "";
  const int code = samepage_ksm_burst(reason, sizeof reason);
  if (code == SAMEPAGE_OK) return {};
  return reason[0] ? reason : samepage_error_string(code);
}

}  // namespace samepage
