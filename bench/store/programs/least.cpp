// The least that sharing a copy's memory takes, by the kernel's and the C library's own means: copying it
// once into a memory file with 2 MB pages, comparing every byte with it, and mapping it in the place of the
// copy's pages. least MB small|huge. Prints the processor seconds of each: the best of five rounds.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1
#endif

namespace {

constexpr std::size_t kHuge = 2 << 20, kPage = 4096;

double seconds_used() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

void require(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::exit(1);
}

/// Where 2 MB pages can be mapped.
unsigned char* map(std::size_t size, int access, int flags, int file) {
  void* found = mmap(nullptr, size + kHuge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  require(found != MAP_FAILED, "mmap");
  const std::size_t before = kHuge - reinterpret_cast<std::uintptr_t>(found) % kHuge;
  auto* at = static_cast<unsigned char*>(found) + before;
  require(mmap(at, size, access, flags | MAP_FIXED, file, 0) == at, "mmap");
  munmap(found, before);
  munmap(at + size, kHuge - before);
  return at;
}

/// 2 MB at a time: its first page makes the file's 2 MB page.
void copy(int file, unsigned char* view, const unsigned char* memory, std::size_t size) {
  for (std::size_t at = 0; at < size; at += kHuge) {
    require(pwrite(file, memory + at, kPage, off_t(at)) == kPage, "pwrite");
    madvise(view + at, kHuge, MADV_COLLAPSE);  // else the file has small ones
    const std::size_t rest = kHuge - kPage;
    require(pwrite(file, memory + at + kPage, rest, off_t(at + kPage)) == ssize_t(rest), "pwrite");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int pages = std::strcmp(argv[2], "huge") == 0 ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;
  const std::size_t size = (std::strtoull(argv[1], nullptr, 10) << 20) / kHuge * kHuge;
  double least[3] = {1e9, 1e9, 1e9};
  for (int round = 0; round < 5; ++round) {
    auto* memory = map(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    madvise(memory, size, pages);
    std::uint64_t random = 1;
    for (std::size_t at = 0; at < size; at += sizeof random) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      std::memcpy(memory + at, &random, sizeof random);
    }
    const int file = memfd_create("least", MFD_CLOEXEC);
    require(file >= 0 && ftruncate(file, off_t(size)) == 0, "memfd_create");
    auto* view = map(size, PROT_READ, MAP_SHARED, file);

    const double began = seconds_used();
    copy(file, view, memory, size);
    madvise(view, size, MADV_POPULATE_READ);
    const double copied = seconds_used();
    require(std::memcmp(memory, view, size) == 0, "memcmp");
    const double compared = seconds_used();
    require(mmap(memory, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, file, 0) ==
                memory,
            "mmap");
    madvise(memory, size, MADV_POPULATE_READ);
    const double done = seconds_used();

    least[0] = std::min(least[0], copied - began);
    least[1] = std::min(least[1], compared - copied);
    least[2] = std::min(least[2], done - compared);
    munmap(view, size);
    munmap(memory, size);
    close(file);
  }
  std::printf("%.4f %.4f %.4f\n", least[0], least[1], least[2]);
  return 0;
}
