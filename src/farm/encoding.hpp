#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace samepage::farm {

/// Little-endian numbers and strings with their lengths, one behind the other: what our files are made of.
class Encoder {
 public:
  void number(std::uint64_t value) {
    for (int i = 0; i < 8; ++i) text_ += static_cast<char>(value >> 8 * i & 0xff);
  }
  void string(std::string_view value) {
    number(value.size());
    text_ += value;
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

/// Reads it; after an attempt to read beyond the end `ok()` is false, and what is read is empty.
class Decoder {
 public:
  explicit Decoder(std::string_view text) : rest_(text) {}

  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int i = 0; const char c : piece(8)) value |= std::uint64_t{static_cast<unsigned char>(c)} << 8 * i++;
    return value;
  }
  std::string_view string() { return piece(number()); }
  std::string_view piece(std::uint64_t size) {
    if (size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view result = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return result;
  }
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace samepage::farm
