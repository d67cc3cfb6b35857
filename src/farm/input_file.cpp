#include "farm/input_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "linux/system_call.hpp"
#include "samepage/farm.hpp"

namespace samepage::farm {

namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 17;

}  // namespace

InputFile::InputFile(const std::filesystem::path& path) : path_(path), fd_(STDIN_FILENO), buffer_(kBuffer) {
  if (path != "-") {
    own_ = UniqueFd(uninterrupted([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC); }));
    if (!own_) throw JobError("cannot read " + path.string() + ": " + error_text(errno));
    fd_ = own_.get();
  }
  struct stat status {};
  if (fstat(fd_, &status) == 0 && S_ISDIR(status.st_mode))
    throw JobError("cannot read " + path.string() + ": " + error_text(EISDIR));
  regular_ = S_ISREG(status.st_mode);
}

void InputFile::fail_truncated() const {
  throw JobError(path_.string() + " is truncated: its last event is not whole");
}

std::size_t InputFile::read_some(std::span<std::byte> target) {
  const ssize_t got = uninterrupted([&] { return ::read(fd_, target.data(), target.size()); });
  if (got < 0) throw JobError("cannot read " + path_.string() + ": " + error_text(errno));
  return static_cast<std::size_t>(got);
}

bool InputFile::refill() {
  if (begin_ > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  const std::size_t got = read_some(std::span(buffer_).subspan(end_));
  end_ += got;
  return got > 0;
}

std::size_t InputFile::read(std::span<std::byte> target) {
  std::size_t done = 0;
  while (done < target.size()) {
    if (begin_ == end_) {
      if (target.size() - done >= kBuffer) {
        const std::size_t got = read_some(target.subspan(done));
        if (got == 0) break;
        done += got;
        continue;
      }
      if (!refill()) break;
    }
    const std::size_t piece = std::min(end_ - begin_, target.size() - done);
    std::memcpy(target.data() + done, buffer_.data() + begin_, piece);
    begin_ += piece;
    done += piece;
  }
  return done;
}

void InputFile::skip(std::uint64_t bytes) {
  std::array<std::byte, 4096> nowhere;
  while (bytes > 0) {
    const std::size_t piece = std::min<std::uint64_t>(bytes, nowhere.size());
    if (read(std::span(nowhere).first(piece)) < piece) fail_truncated();
    bytes -= piece;
  }
}

std::string_view InputFile::line() {
  std::size_t searched = 0;
  for (;;) {
    const std::byte* data = buffer_.data() + begin_;
    std::size_t size = end_ - begin_;
    if (const void* end = size > searched ? std::memchr(data + searched, '\n', size - searched) : nullptr) {
      size = static_cast<std::size_t>(static_cast<const std::byte*>(end) - data) + 1;
      begin_ += size;
      return {reinterpret_cast<const char*>(data), size};
    }
    searched = size;
    if (!refill()) {
      const std::string_view rest(reinterpret_cast<const char*>(buffer_.data()) + begin_, end_ - begin_);
      begin_ = end_;
      return rest;
    }
  }
}

bool InputFile::has_buffered_line() const {
  return regular_ || (end_ > begin_ && std::memchr(buffer_.data() + begin_, '\n', end_ - begin_));
}

}  // namespace samepage::farm
