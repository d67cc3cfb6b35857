#include "linux/process_memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace samepage {
namespace {

class ProcessMemoryTest : public testing::Test {
 protected:
  static constexpr std::size_t kPages = 4;

  ProcessMemoryTest() {
    madvise(memory_, kSize, MADV_NOHUGEPAGE);
    std::memset(memory_, 7, kSize);
  }
  ~ProcessMemoryTest() override { munmap(memory_, kSize); }

  void give_back(std::size_t page) { madvise(memory_ + page * kPageSize, kPageSize, MADV_DONTNEED); }

  std::size_t read(std::size_t offset, std::size_t size, ProcessMemory::Pages pages) {
    return ProcessMemory(getpid()).read(reinterpret_cast<std::uintptr_t>(memory_) + offset, buffer_.data(),
                                        size, pages);
  }

  std::size_t resident_pages() const {
    std::array<unsigned char, kPages> there;
    mincore(memory_, kSize, there.data());
    std::size_t count = 0;
    for (const unsigned char page : there) count += page & 1;
    return count;
  }

  static constexpr std::size_t kSize = kPages * kPageSize;
  char* memory_ =
      static_cast<char*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  std::array<char, kSize> buffer_{};
};

TEST_F(ProcessMemoryTest, ReadsWhatIsInMemory) {
  for (const auto pages : {ProcessMemory::Pages::alone, ProcessMemory::Pages::shared}) {
    EXPECT_EQ(read(0, kSize, pages), kSize);
    EXPECT_EQ(buffer_[kSize - 1], 7);
    EXPECT_EQ(read(100, 200, pages), 200u);
  }
}

TEST_F(ProcessMemoryTest, GivesNoPageToMemoryThatWasGivenBack) {
  give_back(2);
  ASSERT_EQ(resident_pages(), kPages - 1);
  for (const auto pages : {ProcessMemory::Pages::alone, ProcessMemory::Pages::shared}) {
    EXPECT_EQ(read(0, kSize, pages), 2 * kPageSize);
    EXPECT_EQ(read(100, kSize - 100, pages), 2 * kPageSize - 100);
    EXPECT_EQ(read(2 * kPageSize, kPageSize, pages), 0u);
  }
  EXPECT_EQ(resident_pages(), kPages - 1);
}

TEST_F(ProcessMemoryTest, ReadsAFilesPagesAlsoIfTheyAreNotMapped) {
  char* shared =
      static_cast<char*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(shared, MAP_FAILED);
  std::memset(shared, 9, kSize);
  madvise(shared, kSize, MADV_DONTNEED);  // from the page tables alone
  EXPECT_EQ(ProcessMemory(getpid()).read(reinterpret_cast<std::uintptr_t>(shared), buffer_.data(), kSize,
                                         ProcessMemory::Pages::file),
            kSize);
  EXPECT_EQ(buffer_[kSize - 1], 9);
  munmap(shared, kSize);
}

}  // namespace
}  // namespace samepage
