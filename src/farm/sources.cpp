#include <sys/stat.h>

#include <array>
#include <cstring>

#include "farm/encoding.hpp"
#include "farm/input_file.hpp"
#include "samepage/farm.hpp"

namespace samepage::farm {

namespace {

class RecordSource final : public Source {
 public:
  explicit RecordSource(const std::filesystem::path& file) : input_(file) {}

  bool next(EventBuffer& buffer) override {
    std::array<char, 8> head{};
    const std::size_t got = input_.read(std::as_writable_bytes(std::span(head)));
    if (got == 0) return false;
    if (got < head.size()) input_.fail_truncated();
    const std::uint64_t size = Decoder({head.data(), head.size()}).number();
    if (input_.read(buffer.allocate(size)) < size) input_.fail_truncated();
    return true;
  }
  bool ready() const override { return input_.has_buffered(1 << 16); }

 private:
  InputFile input_;
};

class LineSource final : public Source {
 public:
  explicit LineSource(const std::filesystem::path& file) : input_(file) {}

  bool next(EventBuffer& buffer) override {
    std::string_view line = input_.line();
    if (line.empty()) return false;
    if (line.ends_with('\n')) line.remove_suffix(1);
    buffer.assign(line);
    return true;
  }
  bool ready() const override { return input_.has_buffered_line(); }

 private:
  InputFile input_;
};

}  // namespace

void EventBuffer::assign(std::span<const std::byte> bytes) {
  const auto room = allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(room.data(), bytes.data(), bytes.size());
}

std::unique_ptr<Source> record_source(const std::filesystem::path& file) {
  return std::make_unique<RecordSource>(file);
}

std::unique_ptr<Source> line_source(const std::filesystem::path& file) {
  return std::make_unique<LineSource>(file);
}

std::string file_identity(const std::filesystem::path& file) {
  struct stat status {};
  if (stat(file.c_str(), &status) < 0) return file.string();
  return file.string() + " " + std::to_string(status.st_size) + " bytes " +
         std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec);
}

}  // namespace samepage::farm
