#include "farm/block_record.hpp"

namespace samepage::farm {

void BlockRecord::append(const void* data, std::size_t size) {
  if (size == 0) return;
  const std::size_t at = bytes_.size();
  bytes_.resize(at + size);
  std::memcpy(bytes_.data() + at, data, size);
}

void BlockRecord::begin(std::uint64_t first_index) {
  bytes_.resize(sizeof head_);
  head_ = {first_index, 0, 0, 0};
}

void BlockRecord::add(std::uint64_t number, std::string_view reason, std::span<const std::byte> bytes,
                      bool quarantined) {
  const EntryHead head{number, bytes.size(), static_cast<std::uint32_t>(reason.size()), quarantined};
  append(&head, sizeof head);
  append(reason.data(), reason.size());
  append(bytes.data(), bytes.size());
  ++head_.events;
}

void BlockRecord::add_output(std::uint64_t number, std::span<const std::byte> output) {
  add(number, {}, output, false);
}

void BlockRecord::add_quarantined(std::uint64_t number, std::string_view reason,
                                  std::span<const std::byte> event) {
  add(number, reason, event, true);
}

void BlockRecord::end(std::string_view merged) {
  append(merged.data(), merged.size());
  head_.merged_bytes = merged.size();
  std::memcpy(bytes_.data(), &head_, sizeof head_);
}

BlockRecordView::BlockRecordView(std::span<const std::byte> bytes) {
  std::memcpy(&head_, bytes.data(), sizeof head_);
  const auto merged = bytes.last(head_.merged_bytes);
  merged_ = {reinterpret_cast<const char*>(merged.data()), merged.size()};
  rest_ = bytes.subspan(sizeof head_, bytes.size() - sizeof head_ - merged.size());
}

BlockRecordView::Entry BlockRecordView::next() {
  BlockRecord::EntryHead head;
  std::memcpy(&head, rest_.data(), sizeof head);
  rest_ = rest_.subspan(sizeof head);
  const std::string_view reason(reinterpret_cast<const char*>(rest_.data()), head.reason_bytes);
  const auto bytes = rest_.subspan(head.reason_bytes, head.bytes);
  rest_ = rest_.subspan(head.reason_bytes + head.bytes);
  return {head.number, head.quarantined != 0, reason, bytes};
}

}  // namespace samepage::farm
