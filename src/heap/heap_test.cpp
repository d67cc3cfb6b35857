// The heap, linked as a program would link it: every entry point, fork, threads, settle, scopes, generations.
#include "samepage/heap.hpp"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace {

volatile size_t kTooMuch = PTRDIFF_MAX;  // volatile: the compiler would warn, or fold the call away

// Runs `body` in a forked child; true if it returned true there.
bool in_child(const std::function<bool()>& body) {
  pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  int status = -1;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

samepage_heap_stats statistics() {
  samepage_heap_stats stats{};
  samepage_heap_statistics(&stats);
  return stats;
}

uintptr_t page(const void* p) {
  return reinterpret_cast<uintptr_t>(p) / 4096;
}

// Blocks of many sizes, every second one freed again: constants with holes between them.
std::vector<void*> with_holes(size_t count) {
  std::vector<void*> kept;
  for (size_t i = 0; i < count; ++i) {
    void* hole = malloc(16 + i % 500);
    kept.push_back(malloc(16 + i % 500));
    memset(kept.back(), 1, 16);
    free(hole);
  }
  return kept;
}

TEST(EntryPoints, FailAsGlibcDoes) {
  errno = 0;
  EXPECT_EQ(malloc(kTooMuch), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(calloc(kTooMuch, 3), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  void* p = malloc(10);
  errno = 0;
  EXPECT_EQ(realloc(p, kTooMuch), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(reallocarray(p, kTooMuch, 4), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  free(p);
  EXPECT_EQ(posix_memalign(&p, 3, 10), EINVAL);
  EXPECT_EQ(posix_memalign(&p, 2, 10), EINVAL);
  EXPECT_EQ(posix_memalign(&p, 64, kTooMuch), ENOMEM);
  errno = 0;
  EXPECT_EQ(memalign(64, kTooMuch), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(pvalloc(SIZE_MAX - 10), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  errno = 0;
  EXPECT_EQ(memalign(SIZE_MAX, 8), nullptr);
  EXPECT_EQ(errno, EINVAL);
}

TEST(EntryPoints, AlignZeroAndSize) {
  for (size_t alignment = 8; alignment <= 1 << 16; alignment *= 2) {
    void* p = nullptr;
    ASSERT_EQ(posix_memalign(&p, alignment, 100), 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u);
    EXPECT_GE(malloc_usable_size(p), 100u);
    free(p);
    p = aligned_alloc(alignment, alignment);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u);
    free(p);
    p = memalign(alignment - 1, 100);  // glibc rounds the alignment up
    EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % alignment, 0u);
    free(p);
  }
  void* v = valloc(1);
  void* pv = pvalloc(1);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(v) % 4096, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(pv) % 4096, 0u);
  EXPECT_GE(malloc_usable_size(pv), 4096u);
  free(v);
  free(pv);
  EXPECT_EQ(malloc_usable_size(nullptr), 0u);
  void* empty = malloc(0);
  EXPECT_NE(empty, nullptr);
  free(empty);
  for (size_t size : {100u, 10'000u, 20'000'000u}) {
    auto* bytes = static_cast<char*>(malloc(size));
    memset(bytes, 0xff, size);
    free(bytes);
    bytes = static_cast<char*>(calloc(1, size));
    EXPECT_EQ(std::string(bytes, size), std::string(size, '\0'));
    free(bytes);
  }
}

TEST(EntryPoints, ReallocKeepsTheBytes) {
  auto* p = static_cast<char*>(realloc(nullptr, 10));
  for (size_t size = 10; size < 5'000'000; size = size * 3 / 2) {
    memset(p, 'x', size);
    p = static_cast<char*>(realloc(p, size * 3 / 2));
    ASSERT_EQ(std::string(p, size), std::string(size, 'x'));
  }
  free(p);
}

TEST(EntryPoints, OperatorNewThrowsWhatItShould) {
  EXPECT_THROW((void)::operator new(kTooMuch), std::bad_alloc);
  EXPECT_THROW((void)::operator new[](kTooMuch, std::align_val_t{64}), std::bad_alloc);
  EXPECT_EQ(::operator new(kTooMuch, std::nothrow), nullptr);
  EXPECT_EQ(::operator new (kTooMuch, std::align_val_t{64}, std::nothrow), nullptr);
  static int called;
  called = 0;
  std::set_new_handler([] {
    ++called;
    std::set_new_handler(nullptr);
  });
  EXPECT_THROW((void)::operator new(kTooMuch), std::bad_alloc);
  EXPECT_EQ(called, 1);
  struct alignas(256) Wide {
    char c[256];
  };
  auto wide = std::make_unique<Wide[]>(3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(wide.get()) % 256, 0u);
}

TEST(EntryPoints, DeleteDoesNotBelieveItsSize) {
  // As of an object that is deleted through its base class: glibc's delete does not look at the size either.
  constexpr size_t kSize = 200, kWrong = 16;
  std::vector<void*> blocks;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 50; ++i) blocks.push_back(operator new(kSize));
    while (blocks.size() > 25) {
      operator delete(blocks.back(), kWrong);
      blocks.pop_back();
    }
  }
  void* small = malloc(kWrong);
  EXPECT_LT(malloc_usable_size(small), kSize);
  free(small);
  for (void* block : blocks) operator delete(block);
}

TEST(Scopes, FreedEventMemoryIsNoFreedConstant) {
  const size_t before = statistics().constant_freed;
  {
    samepage::TacticalScope scope;
    for (int i = 0; i < 1000; ++i) free(malloc(4096));
  }
  EXPECT_EQ(statistics().constant_freed, before);
}

TEST(Fork, ChildAllocatesOnFreshPagesAndNeverReusesConstants) {
  auto constants = with_holes(20'000);
  constants.push_back(malloc(9 << 20));  // large ones too
  EXPECT_TRUE(in_child([&] {
    std::set<uintptr_t> pages;
    std::set<void*> freed;
    for (void* p : constants) pages.insert(page(p));
    for (size_t i = 0; i < constants.size(); i += 2) {
      freed.insert(constants[i]);
      free(constants[i]);
    }
    void* grown = realloc(constants[1], 100'000);
    if (pages.count(page(grown))) return false;
    for (size_t i = 0; i < 40'000; ++i) {
      void* p = malloc(16 + i % 500);
      if (pages.count(page(p)) || freed.count(p)) return false;
      if (i % 3 == 0) free(p);
    }
    return pages.count(page(malloc(9 << 20))) == 0 && statistics().generation == 1 &&
           statistics().settled == 1;
  }));
  for (void* p : constants) free(p);
}

TEST(Fork, NewThreadsOfAChildStayOffTheParentsPagesToo) {
  auto constants = with_holes(20'000);
  std::set<uintptr_t> pages;
  for (void* p : constants) pages.insert(page(p));
  EXPECT_TRUE(in_child([&] {
    std::atomic<bool> fine = true;
    std::vector<std::thread> threads;
    for (int t = 0; t < 12; ++t)
      threads.emplace_back([&] {
        for (size_t i = 0; i < 5'000; ++i) {
          void* p = malloc(16 + i % 500);
          if (pages.count(page(p))) fine = false;
          if (i % 2) free(p);
        }
      });
    for (auto& t : threads) t.join();
    return fine.load();
  }));
  for (void* p : constants) free(p);
}

TEST(Fork, GrandchildrenStayOffEveryAncestorsPages) {
  auto constants = with_holes(5'000);
  std::set<uintptr_t> pages;
  for (void* p : constants) pages.insert(page(p));
  std::function<bool(int)> generation = [&](int depth) {
    if (depth == 0) return true;
    for (void* p : with_holes(2'000))
      if (!pages.insert(page(p)).second) continue;
    return in_child([&] {
      for (size_t i = 0; i < 2'000; ++i)
        if (pages.count(page(malloc(16 + i % 500)))) return false;
      return generation(depth - 1);
    });
  };
  EXPECT_TRUE(generation(5));
  for (void* p : constants) free(p);
}

// Arenas of ancestors far enough back are used again; a large one has its holes plugged first.
TEST(Fork, ALongChainOfGenerationsStaysOffTheParentsPages) {
  std::function<bool(int)> generation = [&](int depth) {
    if (depth == 0) return true;
    auto mine = with_holes(6'000);  // more than an arena may hold to be taken over as it is
    std::set<uintptr_t> pages;
    for (void* p : mine) pages.insert(page(p));
    return in_child([&] {
      for (size_t i = 0; i < 2'000; ++i)
        if (pages.count(page(malloc(16 + i % 500)))) return false;
      for (void* p : mine) free(p);
      return generation(depth - 1);
    });
  };
  EXPECT_TRUE(generation(30));
}

// What a generation frees of an arena that it took over is free again, though its addresses are inherited
// ones.
TEST(Fork, ALongChainThatFreesAllDoesNotGrow) {
  std::function<bool(int)> generation = [&](int depth) {
    for (void* p : with_holes(200)) free(p);
    if (depth == 0) return statistics().tactical_active < 1 << 20;
    return in_child([&] { return generation(depth - 1); });
  };
  EXPECT_TRUE(generation(60));
}

TEST(Fork, WhileThreadsAllocate) {
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      while (!stop) {
        std::vector<std::string> strings;
        for (size_t i = 0; i < 100; ++i) strings.emplace_back(i * 7, 'x');
      }
    });
  for (int i = 0; i < 300; ++i) EXPECT_TRUE(in_child([] { return std::string(5'000, 'y').size() == 5'000; }));
  stop = true;
  for (auto& t : threads) t.join();
}

TEST(Settle, AChildIsPastItFromTheStart) {
  EXPECT_TRUE(in_child([] { return statistics().settled == 1 && !samepage::settle(); }));
}

TEST(Scopes, KeepTheRolesApartInAForkedChild) {
  EXPECT_TRUE(in_child([] {
    std::set<uintptr_t> constant_pages;
    std::vector<void*> constants;
    for (size_t i = 0; i < 2'000; ++i) {
      samepage::ConstantScope scope;
      constants.push_back(malloc(16 + i % 300));
      samepage::TacticalScope inner;
      free(malloc(100));
    }
    for (void* p : constants) constant_pages.insert(page(p));
    for (size_t i = 0; i < constants.size(); i += 2) free(constants[i]);
    for (size_t i = 0; i < 10'000; ++i)
      if (constant_pages.count(page(malloc(16 + i % 300)))) return false;
    return statistics().constant_active >= 2'000 * 16;
  }));
}

TEST(Scopes, TacticalOnesInTheConstantPhase) {
  std::set<uintptr_t> tactical_pages;
  std::vector<void*> blocks;
  for (size_t i = 0; i < 2'000; ++i) {
    samepage::TacticalScope scope;
    blocks.push_back(malloc(16 + i % 300));
    free(malloc(64));
  }
  for (void* p : blocks) tactical_pages.insert(page(p));
  for (size_t i = 0; i < blocks.size(); i += 2) free(blocks[i]);  // outside of the scope
  for (size_t i = 0; i < 10'000; ++i) {
    void* p = malloc(16 + i % 300);
    EXPECT_EQ(tactical_pages.count(page(p)), 0u);
    free(p);
  }
  for (size_t i = 1; i < blocks.size(); i += 2) free(blocks[i]);
}

TEST(Teardown, MemoryOfAThreadThatEndedCanBeFreed) {
  std::vector<void*> blocks;
  for (int round = 0; round < 50; ++round)
    std::thread([&] {
      for (size_t i = 0; i < 100; ++i) blocks.push_back(malloc(i * 10));
    }).join();
  for (void* p : blocks) free(p);
}

std::atomic<int> in_handler;
TEST(Signals, ForkInAHandlerWhileTheThreadAllocates) {
  // Between two calls of malloc, not inside one: that would be undefined with every malloc.
  struct sigaction action {};
  action.sa_handler = [](int) {
    pid_t child = fork();
    if (child == 0) {
      free(malloc(1000));
      _exit(0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    in_handler += status == 0;
  };
  sigaction(SIGUSR1, &action, nullptr);
  for (int i = 0; i < 20; ++i) {
    std::string some(1000, 'a');
    raise(SIGUSR1);
  }
  EXPECT_EQ(in_handler, 20);
}

TEST(Jemalloc, ItsOwnInterfaceWorksInChildrenToo) {
  auto mallocx = reinterpret_cast<void* (*)(size_t, int)>(dlsym(RTLD_DEFAULT, "mallocx"));
  auto rallocx = reinterpret_cast<void* (*)(void*, size_t, int)>(dlsym(RTLD_DEFAULT, "rallocx"));
  auto sdallocx = reinterpret_cast<void (*)(void*, size_t, int)>(dlsym(RTLD_DEFAULT, "sdallocx"));
  auto xallocx = reinterpret_cast<size_t (*)(void*, size_t, size_t, int)>(dlsym(RTLD_DEFAULT, "xallocx"));
  ASSERT_TRUE(mallocx && rallocx && sdallocx && xallocx);
  auto* p = static_cast<char*>(mallocx(100, 0));
  strcpy(p, "kept");
  EXPECT_TRUE(in_child([&] {
    if (xallocx(p, 5000, 0, 0) >= 5000) return false;
    auto* q = static_cast<char*>(rallocx(p, 5000, 0x40 /* zero */));
    bool fine = std::string(q) == "kept" && q[4999] == 0;
    sdallocx(q, 5000, 0);
    return fine;
  }));
  sdallocx(p, 100, 0);
}

// The only test that settles this process: the last one.
TEST(SettleLast, MovesEveryThreadOffTheConstants) {
  auto constants = with_holes(20'000);
  std::set<uintptr_t> pages;
  for (void* p : constants) pages.insert(page(p));
  std::atomic<int> phase = 0;
  std::atomic<bool> fine = true;
  std::thread other([&] {
    free(malloc(100));
    phase = 1;
    while (phase != 2) std::this_thread::yield();
    for (size_t i = 0; i < 5'000; ++i)
      if (pages.count(page(malloc(16 + i % 500)))) fine = false;
  });
  while (phase != 1) std::this_thread::yield();
  EXPECT_TRUE(samepage::settle());
  EXPECT_FALSE(samepage::settle());
  phase = 2;
  other.join();
  EXPECT_TRUE(fine);
  for (size_t i = 0; i < constants.size(); i += 2) free(constants[i]);
  for (size_t i = 0; i < 20'000; ++i) EXPECT_EQ(pages.count(page(malloc(16 + i % 500))), 0u);
  EXPECT_GT(statistics().constant_freed, 0u);
}

}  // namespace
