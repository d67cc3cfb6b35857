// planted RANK PAGES FILE CLASS…: a process with PAGES pages of each class that is named, equal, alike or
// different between processes of different ranks. Prints "ready" when they stand, and waits for the end of
// its input.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string_view>
#include <thread>

namespace {

constexpr std::size_t kPage = 4096, kWords = kPage / 8;

std::uint64_t rank;
std::size_t pages;

std::uint64_t* map(std::size_t size, int flags = MAP_PRIVATE | MAP_ANONYMOUS, int fd = -1) {
  void* at = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (at == MAP_FAILED) {
    std::perror("mmap");
    std::exit(1);
  }
  if (flags & MAP_ANONYMOUS) madvise(at, size, MADV_NOHUGEPAGE);
  return static_cast<std::uint64_t*>(at);
}

/// The same words for the same seed, in every process.
void fill(std::uint64_t* at, std::size_t words, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  for (std::size_t i = 0; i < words; ++i) at[i] = random();
}

std::uint64_t* equal(std::uint64_t seed) {
  std::uint64_t* at = map(pages * kPage);
  fill(at, pages * kWords, seed);
  return at;
}

void plant(std::string_view name, const char* file) {
  if (name == "not_registered") equal(1);
  if (name == "not_scanned") madvise(equal(2), pages * kPage, MADV_MERGEABLE);
  if (name == "pinned") mlock(equal(3), pages * kPage);
  if (name == "unique") equal(1000 + rank);
  if (name == "zero") {
    auto* at = reinterpret_cast<volatile char*>(map(pages * kPage));
    for (std::size_t i = 0; i < pages; ++i) at[i * kPage] = 0;
  }
  if (name == "pointers") {
    std::uint64_t* at = equal(4);
    for (std::size_t i = 0; i < pages * kWords; i += 4)
      at[i] = reinterpret_cast<std::uintptr_t>(at) + at[i] % (pages * kPage);
  }
  if (name == "few_bytes") {
    std::uint64_t* at = equal(5);
    for (std::size_t page = 0; page < pages; ++page)
      for (const std::size_t word : {0, 8, 100})
        reinterpret_cast<char*>(at + page * kWords + word)[1] = static_cast<char>(rank);
  }
  if (name == "shifted") {
    std::uint64_t* at = map(pages * kPage);
    std::uint64_t* stream = map(pages * kPage + kPage);
    fill(stream, (pages + 1) * kWords, 6);
    std::memcpy(at, reinterpret_cast<char*>(stream) + rank * 777, pages * kPage);
    munmap(stream, pages * kPage + kPage);
  }
  if (name == "huge_page") {
    constexpr std::size_t kHuge = 2 << 20;
    auto* at = reinterpret_cast<char*>(map(pages * kPage + kHuge));
    at += kHuge - reinterpret_cast<std::uintptr_t>(at) % kHuge;
    madvise(at, pages * kPage, MADV_HUGEPAGE);
    fill(reinterpret_cast<std::uint64_t*>(at), pages * kWords, 7);
  }
  if (name == "never_merged") fill(map(pages * kPage, MAP_SHARED | MAP_ANONYMOUS), pages * kWords, 8);
  if (name == "library_data") {
    const int fd = open(file, O_RDWR);
    if (fd < 0 || ftruncate(fd, static_cast<off_t>(pages * kPage)) != 0) std::exit(1);
    fill(map(pages * kPage, MAP_PRIVATE, fd), pages * kWords, 9);
  }
  if (name == "shared_fork") {
    equal(2000 + rank);
    if (fork() == 0) {
      while (read(STDIN_FILENO, &rank, 1) > 0) {
      }
      _exit(0);
    }
  }
  if (name == "changing") {
    static std::atomic<std::uint64_t>* const at = reinterpret_cast<std::atomic<std::uint64_t>*>(equal(10));
    std::thread([] {
      for (std::uint64_t i = 0;; ++i)
        for (std::size_t page = 0; page < pages; ++page) at[page * kWords] = rank << 56 | i;
    }).detach();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  rank = std::strtoull(argv[1], nullptr, 10);
  pages = std::strtoull(argv[2], nullptr, 10);
  for (int i = 4; i < argc; ++i) plant(argv[i], argv[3]);
  std::puts("ready");
  std::fflush(stdout);
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
  _exit(0);
}
