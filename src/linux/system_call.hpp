#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

namespace samepage {

/// Calls again for as long as a signal interrupts; otherwise returns what the call returned, with its errno.
template <typename Call>
auto uninterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

/// "No space left on device" of an errno value.
inline std::string error_text(int error) {
  return std::generic_category().message(error);
}

/// The result of a call that must succeed; throws std::system_error with `what` otherwise.
template <typename Result>
Result must(Result result, const char* what) {
  if (result == -1) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

}  // namespace samepage
