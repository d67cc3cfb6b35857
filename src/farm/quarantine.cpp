#include "farm/quarantine.hpp"

#include <array>
#include <cstring>

#include "farm/encoding.hpp"
#include "farm/input_file.hpp"
#include "samepage/farm.hpp"

namespace samepage::farm {

namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class QuarantineSource final : public Source {
 public:
  explicit QuarantineSource(const std::filesystem::path& file) : input_(file) {
    std::array<std::byte, kQuarantineMagic.size()> magic{};
    if (input_.read(magic) != magic.size() ||
        std::memcmp(magic.data(), kQuarantineMagic.data(), magic.size()) != 0)
      throw JobError(file.string() + " is not a quarantine file of this version");
  }

  bool next(EventBuffer& buffer) override {
    std::array<char, 24> head{};
    const std::size_t got = input_.read(std::as_writable_bytes(std::span(head)));
    if (got == 0) return false;
    if (got < head.size()) input_.fail_truncated();
    Decoder decoder({head.data(), head.size()});
    const std::uint64_t number = decoder.number(), reason = decoder.number(), size = decoder.number();
    input_.skip(reason);
    buffer.set_number(number);
    if (input_.read(buffer.allocate(size)) < size) input_.fail_truncated();
    return true;
  }
  bool ready() const override { return true; }

 private:
  InputFile input_;
};

}  // namespace

void QuarantineFile::open(std::uint64_t committed) {
  if (committed) {
    file_.open(committed);
  } else if (std::filesystem::exists(file_.path()) && std::filesystem::file_size(file_.path()) > 0) {
    throw JobError(file_.path().string() + " exists already; remove it or name another");
  }
}

void QuarantineFile::add(std::uint64_t number, std::string_view reason, std::span<const std::byte> event) {
  if (!file_.is_open()) {
    file_.open(0);
    file_.append(bytes_of(kQuarantineMagic));
  }
  Encoder head;
  head.number(number);
  head.number(reason.size());
  head.number(event.size());
  file_.append(bytes_of(head.take()));
  file_.append(bytes_of(reason));
  file_.append(event);
}

std::unique_ptr<Source> quarantine_source(const std::filesystem::path& file) {
  return std::make_unique<QuarantineSource>(file);
}

}  // namespace samepage::farm
