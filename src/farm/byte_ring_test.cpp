#include "farm/byte_ring.hpp"

#include <gmock/gmock.h>

#include <string>
#include <thread>

namespace samepage::farm {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct RingOf {
  explicit RingOf(std::size_t size) : bytes(size), ring(counters, bytes) {}
  ByteRing::Counters counters{};
  std::vector<std::byte> bytes;
  ByteRing ring;
};

void write_record(ByteRing& ring, std::uint64_t block, std::string_view text) {
  const RecordHeader header{block, text.size()};
  for (auto rest : {std::as_bytes(std::span(&header, 1)), bytes_of(text)})
    while (!rest.empty()) rest = rest.subspan(ring.write(rest));
}

TEST(ByteRing, TakesNoMoreThanThereIsRoom) {
  RingOf of(8);
  EXPECT_EQ(of.ring.write(bytes_of("0123456789")), 8u);
  EXPECT_EQ(of.ring.write(bytes_of("x")), 0u);
  std::vector<std::byte> target(5);
  EXPECT_EQ(of.ring.read(target), 5u);
  EXPECT_EQ(text_of(target), "01234");
  EXPECT_EQ(of.ring.write(bytes_of("abcdefg")), 5u);
  target.resize(20);
  EXPECT_EQ(of.ring.read(target), 8u);
  EXPECT_EQ(text_of(std::span(target).first(8)), "567abcde");
}

TEST(RecordReader, WaitsForTheWholeRecord) {
  RingOf of(100);
  RecordReader reader(of.ring);
  RecordReader::Record record;
  const RecordHeader header{7, 4};
  const auto head = std::as_bytes(std::span(&header, 1));
  EXPECT_FALSE(reader.next(record));
  of.ring.write(head.first(5));
  EXPECT_FALSE(reader.next(record));
  of.ring.write(head.subspan(5));
  of.ring.write(bytes_of("ab"));
  EXPECT_FALSE(reader.next(record));
  of.ring.write(bytes_of("cd"));
  ASSERT_TRUE(reader.next(record));
  EXPECT_EQ(record.block, 7u);
  EXPECT_EQ(text_of(record.bytes), "abcd");
}

TEST(RecordReader, DropsWhatADeadWorkerLeftUnfinished) {
  RingOf of(100);
  RecordReader reader(of.ring);
  RecordReader::Record record;
  write_record(of.ring, 1, "whole");
  const RecordHeader header{2, 10};
  of.ring.write(std::as_bytes(std::span(&header, 1)));
  of.ring.write(bytes_of("half"));
  ASSERT_TRUE(reader.next(record));
  EXPECT_FALSE(reader.next(record));
  reader.start_afresh();
  write_record(of.ring, 3, "of its successor");
  ASSERT_TRUE(reader.next(record));
  EXPECT_EQ(record.block, 3u);
  EXPECT_EQ(text_of(record.bytes), "of its successor");
}

TEST(RecordReader, TakesRecordsLargerThanTheRingFromAnotherThread) {
  RingOf of(64);
  std::jthread worker([&] {
    for (std::uint64_t block = 0; block < 200; ++block)
      write_record(of.ring, block, std::string(block * 7, static_cast<char>('a' + block % 26)));
  });
  RecordReader reader(of.ring);
  RecordReader::Record record;
  for (std::uint64_t block = 0; block < 200; ++block) {
    while (!reader.next(record)) std::this_thread::yield();
    ASSERT_EQ(record.block, block);
    ASSERT_EQ(text_of(record.bytes), std::string(block * 7, static_cast<char>('a' + block % 26)));
  }
}

}  // namespace
}  // namespace samepage::farm
