#include "farm/appended_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "linux/system_call.hpp"
#include "samepage/farm.hpp"

namespace samepage::farm {

void AppendedFile::fail(const char* what) const {
  throw JobError(std::string("cannot ") + what + " " + path_.string() + ": " + error_text(errno));
}

void AppendedFile::open(std::uint64_t length) {
  fd_ = UniqueFd(uninterrupted([&] { return ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666); }));
  if (!fd_) fail("write");
  struct stat status {};
  if (fstat(fd_.get(), &status) < 0) fail("write");
  if (static_cast<std::uint64_t>(status.st_size) < length)
    throw JobError(path_.string() + " is shorter than its journal says: it was changed since");
  if (ftruncate(fd_.get(), static_cast<off_t>(length)) < 0) fail("write");
  if (lseek(fd_.get(), 0, SEEK_END) < 0) fail("write");
  length_ = length;
}

void AppendedFile::write_out(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = uninterrupted([&] { return write(fd_.get(), bytes.data(), bytes.size()); });
    if (done < 0) fail("write");
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
}

void AppendedFile::append(std::span<const std::byte> bytes) {
  constexpr std::size_t kBuffer = std::size_t{1} << 18;
  if (buffer_.size() + bytes.size() > kBuffer) {
    write_out(buffer_);
    buffer_.clear();
  }
  if (bytes.size() > kBuffer) {
    write_out(bytes);
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
  length_ += bytes.size();
}

std::uint64_t AppendedFile::commit() {
  write_out(buffer_);
  buffer_.clear();
  if (fdatasync(fd_.get()) < 0 && errno != EINVAL) fail("write");  // EINVAL: not a file, such as /dev/stdout
  return length_;
}

void sync_folder_of(const std::filesystem::path& file) {
  const auto folder = std::filesystem::absolute(file).parent_path();
  const UniqueFd fd(uninterrupted([&] { return open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (fd) fsync(fd.get());
}

}  // namespace samepage::farm
