#include "group/output.hpp"

#include <limits.h>
#include <unistd.h>

#include <algorithm>

#include "linux/system_call.hpp"

namespace samepage {

constexpr std::size_t kLongestLine = 64 * 1024;

std::string LinePrefixer::add(std::string_view piece) {
  std::string out;
  partial_ += piece;
  std::size_t start = 0;
  for (auto end = partial_.find('\n'); end != partial_.npos; end = partial_.find('\n', start)) {
    out += prefix_;
    out.append(partial_, start, end + 1 - start);
    start = end + 1;
  }
  partial_.erase(0, start);
  if (partial_.size() > kLongestLine) out += finish();
  return out;
}

std::string LinePrefixer::finish() {
  if (partial_.empty()) return {};
  std::string line = prefix_ + partial_ + '\n';
  partial_.clear();
  return line;
}

int Sink::write_some() {
  // A pipe that is writable takes PIPE_BUF bytes without blocking, and no more is promised (pipe(7)).
  const std::size_t size = std::min<std::size_t>(pending_.size(), PIPE_BUF);
  const ssize_t done = uninterrupted([&] { return write(fd_, pending_.data(), size); });
  if (done < 0 && errno == EAGAIN) return 0;
  if (done < 0) {
    const int error = errno;
    pending_.clear();
    return error;
  }
  pending_.erase(0, static_cast<std::size_t>(done));
  return 0;
}

}  // namespace samepage
