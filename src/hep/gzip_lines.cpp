#include "hep/gzip_lines.hpp"

#include <cerrno>
#include <cstring>

#include "samepage/farm.hpp"

namespace samepage::hep {

GzipLines::GzipLines(const std::string& path)
    : path_(path), file_(gzopen(path.c_str(), "rbe")), buffer_(1 << 16) {
  if (!file_) throw farm::JobError(path + ": " + std::strerror(errno));
}

bool GzipLines::next(std::string_view& line) {
  std::size_t searched = 0;
  for (;;) {
    const char* data = buffer_.data() + begin_;
    if (const void* newline = std::memchr(data + searched, '\n', end_ - begin_ - searched)) {
      line = {data, static_cast<std::size_t>(static_cast<const char*>(newline) - data) + 1};
      break;
    }
    searched = end_ - begin_;
    if (!refill()) {
      line = {buffer_.data() + begin_, end_ - begin_};
      break;
    }
  }
  begin_ += line.size();
  return !line.empty();
}

/// Reads more behind what is left, which moves to the buffer's start. False at the end of the file.
bool GzipLines::refill() {
  std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
  end_ -= begin_;
  begin_ = 0;
  if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  errno = 0;
  const int count = gzread(file_.get(), buffer_.data() + end_, static_cast<unsigned>(buffer_.size() - end_));
  int error = Z_OK;
  const char* message = gzerror(file_.get(), &error);
  if (error == Z_BUF_ERROR) throw farm::JobError(path_ + ": truncated, the gzip stream has no end");
  if (count < 0) {
    throw farm::JobError(path_ + ": " + (error == Z_ERRNO ? std::strerror(errno) : message));
  }
  end_ += static_cast<std::size_t>(count);
  return count > 0;
}

}  // namespace samepage::hep
