// The store through its interface, each test in a process of its own: what one seals, the next finds sealed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <samepage/heap.hpp>
#include <samepage/store.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

extern "C" int mallctl(const char* name, void* old, size_t* old_size, void* fresh, size_t fresh_size);

namespace samepage {
namespace {

constexpr std::size_t kPage = 4096, kSize = std::size_t{48} << 20;

/// Runs a test in a child and hands on whether it was successful.
template <typename Body>
void in_a_process(Body body) {
  const pid_t pid = fork();
  if (pid == 0) {
    body();
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

/// A constant block, every page of it different.
class Constants {
 public:
  Constants() {
    const ConstantScope scope;  // a child's everyday memory is not constant
    bytes_ = static_cast<unsigned char*>(aligned_alloc(kPage, kSize));
    for (std::size_t page = 0; page < kSize / kPage; ++page) fill(page);
  }

  unsigned char& operator[](std::size_t i) { return bytes_[i]; }
  unsigned char* page(std::size_t number) { return bytes_ + number * kPage; }

  std::size_t wrong() const {
    std::size_t count = 0;
    for (std::size_t page = 0; page < kSize / kPage; ++page)
      for (std::size_t i = 0; i < kPage; i += 64)
        if (bytes_[page * kPage + i] != value(page, i)) ++count;
    return count;
  }
  void release() { free(std::exchange(bytes_, nullptr)); }

 private:
  static unsigned char value(std::size_t page, std::size_t i) {
    return static_cast<unsigned char>(page * 31 + page / 256 + i / 64 + 1);
  }
  void fill(std::size_t page) {
    for (std::size_t i = 0; i < kPage; ++i) bytes_[page * kPage + i] = value(page, i / 64 * 64);
  }

  unsigned char* bytes_ = nullptr;
};

/// Memory of this process that is no file's, in bytes.
std::size_t anonymous() {
  std::ifstream rollup("/proc/self/smaps_rollup");
  for (std::string word; rollup >> word;)
    if (word == "Anonymous:") {
      std::size_t kb = 0;
      rollup >> kb;
      return kb * 1024;
    }
  return 0;
}

std::string reasons() {
  std::string text;
  const StoreStatistics statistics = store_statistics();
  for (int i = 0; i < SAMEPAGE_STORE_REASONS; ++i)
    if (statistics.reasons[i]) text += std::string(samepage_store_reason_name(i)) + ' ';
  return text;
}

TEST(Store, SealingKeepsEveryByteAndTakesNoPrivateMemory) {
  in_a_process([] {
    Constants constants;
    const std::size_t before = anonymous();
    ASSERT_TRUE(seal()) << reasons();
    EXPECT_LT(anonymous(), before - kSize / 10 * 9);
    EXPECT_GE(store_statistics().sealed, kSize / 10 * 9);
    EXPECT_EQ(constants.wrong(), 0u);
  });
}

TEST(Store, AWriterGetsItsOwnPageAndAChildDoesNotSeeIt) {
  in_a_process([] {
    Constants constants;
    ASSERT_TRUE(seal()) << reasons();
    const pid_t child = fork();
    if (child == 0) {
      constants[0] ^= 1;
      _exit(constants.wrong() == 1 ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(constants.wrong(), 0u);
  });
}

TEST(Store, PagesWhoseBytesCameBackAreGivenBackOthersStay) {
  in_a_process([] {
    Constants constants;
    ASSERT_TRUE(seal()) << reasons();
    const std::size_t sealed = anonymous();
    for (std::size_t page = 0; page < 4000; ++page) constants.page(page)[0] ^= 1;
    EXPECT_GE(anonymous(), sealed + 3900 * kPage);
    for (std::size_t page = 0; page < 4000; ++page)
      if (page % 8) constants.page(page)[0] ^= 1;
    ASSERT_TRUE(reshare()) << reasons();
    EXPECT_LT(anonymous(), sealed + 600 * kPage);
    EXPECT_GE(store_statistics().given_back, 3400 * kPage);
    EXPECT_EQ(constants.wrong(), 500u);
  });
}

TEST(Store, AChildOfASealedProcessGivesPagesBack) {
  in_a_process([] {
    Constants constants;
    ASSERT_TRUE(seal()) << reasons();
    in_a_process([&] {
      for (std::size_t page = 0; page < 4000; ++page) constants.page(page)[0] ^= 1;
      for (std::size_t page = 0; page < 4000; ++page) constants.page(page)[0] ^= 1;
      const std::size_t before = anonymous();
      ASSERT_TRUE(reshare()) << reasons();
      EXPECT_LT(anonymous(), before - 3500 * kPage);
      EXPECT_EQ(constants.wrong(), 0u);
    });
  });
}

/// Two processes that run in turns; the parent begins.
class Turns {
 public:
  Turns() {
    if (pipe(to_child_) != 0 || pipe(to_parent_) != 0) std::abort();
  }
  void to_child() { pass(to_child_[1], to_parent_[0]); }
  void to_parent() { pass(to_parent_[1], to_child_[0]); }
  void wait_for_parent() { wait(to_child_[0]); }
  void last() { EXPECT_EQ(write(to_parent_[1], "", 1), 1); }

 private:
  void wait(int end) {
    char byte;
    EXPECT_EQ(read(end, &byte, 1), 1);
  }
  void pass(int end, int back) {
    EXPECT_EQ(write(end, "", 1), 1);
    wait(back);
  }
  int to_child_[2], to_parent_[2];
};

constexpr std::size_t kChanged = 1000, kChangedPages = 700;

/// Other bytes in some pages; `of` one process's, or the same in several.
void change(Constants& constants, unsigned char of) {
  for (std::size_t page = kChanged; page < kChanged + kChangedPages; ++page)
    for (std::size_t i = 64; i < kPage; i += 512)
      constants.page(page)[i + 1] = static_cast<unsigned char>(page + of);
}

bool is_changed(Constants& constants, unsigned char of) {
  for (std::size_t page = kChanged; page < kChanged + kChangedPages; ++page)
    for (std::size_t i = 64; i < kPage; i += 512)
      if (constants.page(page)[i + 1] != static_cast<unsigned char>(page + of)) return false;
  return true;
}

TEST(Store, PagesThatChangedAlikeInTwoProcessesAreSharedAgain) {
  in_a_process([] {
    Constants constants;
    ASSERT_TRUE(seal()) << reasons();
    Turns turns;
    const auto shares = [&](auto other_turn) {
      change(constants, 1);
      const std::size_t before = anonymous();
      for (int i = 0; i < 3; ++i) EXPECT_TRUE(reshare()) << reasons();  // its notes
      other_turn();
      EXPECT_TRUE(reshare()) << reasons();
      EXPECT_LT(anonymous(), before - kChangedPages / 10 * 9 * kPage);
      EXPECT_GE(store_statistics().resealed, kChangedPages / 10 * 9 * kPage);
      EXPECT_TRUE(is_changed(constants, 1));
      EXPECT_EQ(constants.wrong(), 0u);
    };
    const pid_t child = fork();
    if (child == 0) {
      turns.wait_for_parent();
      in_a_process([&] {
        shares([&] { turns.to_parent(); });
        volatile unsigned char& byte = constants.page(kChanged + 5)[0];
        byte = byte ^ 1;  // nobody else sees it
        turns.to_parent();
        byte = byte ^ 1;
        const std::size_t given_back = store_statistics().given_back;
        EXPECT_TRUE(reshare()) << reasons();
        EXPECT_GE(store_statistics().given_back, given_back + kPage);
        EXPECT_TRUE(is_changed(constants, 1));
        EXPECT_TRUE(unseal()) << reasons();
        EXPECT_TRUE(is_changed(constants, 1));
        turns.last();
      });
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    in_a_process([&] {
      shares([&] { turns.to_child(); });
      turns.to_child();
      EXPECT_EQ(constants.wrong(), 0u);
      turns.to_child();
    });
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  });
}

TEST(Store, PagesThatChangedInEachProcessDifferentlyStayItsOwn) {
  in_a_process([] {
    Constants constants;
    ASSERT_TRUE(seal()) << reasons();
    for (unsigned char of = 1; of < 4; ++of)
      in_a_process([&] {
        change(constants, of);
        for (int i = 0; i < 5; ++i) EXPECT_TRUE(reshare()) << reasons();
        EXPECT_EQ(store_statistics().published, 0u);
        EXPECT_EQ(store_statistics().resealed, 0u);
        EXPECT_TRUE(is_changed(constants, of));
        EXPECT_EQ(constants.wrong(), 0u);
      });
  });
}

TEST(Store, WhatIsAllocatedInTheStoreIsSealedWithoutACopy) {
  in_a_process([] {
    ASSERT_TRUE(allocate_in_store()) << reasons();
    Constants constants;
    EXPECT_LT(anonymous(), kSize / 10);
    ASSERT_TRUE(seal()) << reasons();
    EXPECT_LT(anonymous(), kSize / 10);
    EXPECT_GE(store_statistics().sealed, kSize / 10 * 9);
    EXPECT_EQ(constants.wrong(), 0u);
    for (std::size_t page = 0; page < 3000; ++page) constants.page(page)[0] ^= 1;
    EXPECT_GE(anonymous(), 2900 * kPage);
    for (std::size_t page = 0; page < 3000; ++page) constants.page(page)[0] ^= 1;
    ASSERT_TRUE(reshare()) << reasons();
    EXPECT_LT(anonymous(), kSize / 10);
    EXPECT_EQ(constants.wrong(), 0u);
    EXPECT_FALSE(allocate_in_store());
    ASSERT_TRUE(unseal()) << reasons();
    EXPECT_EQ(constants.wrong(), 0u);
  });
}

TEST(Store, AForkEndsAllocationInTheStoreAndNobodySeesTheOthersWrites) {
  in_a_process([] {
    ASSERT_TRUE(allocate_in_store()) << reasons();
    Constants constants;
    int from_child[2], to_child[2];
    ASSERT_EQ(pipe(from_child) + pipe(to_child), 0);
    const pid_t child = fork();
    char byte = 0;
    if (child == 0) {
      change(constants, 1);
      bool good = write(from_child[1], &byte, 1) == 1 && read(to_child[0], &byte, 1) == 1;
      good = good && is_changed(constants, 1) && constants.wrong() == 0;
      _exit(good ? 0 : 1);
    }
    EXPECT_EQ(read(from_child[0], &byte, 1), 1);
    EXPECT_EQ(constants.wrong(), 0u);
    EXPECT_FALSE(is_changed(constants, 1));
    change(constants, 2);
    EXPECT_EQ(write(to_child[1], &byte, 1), 1);
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_TRUE(is_changed(constants, 2));
    EXPECT_GE(store_statistics().sealed, kSize / 10 * 9);
  });
}

TEST(Store, WhatIsFreedInTheStoreIsZeroWhenItComesBack) {
  in_a_process([] {
    ASSERT_TRUE(allocate_in_store()) << reasons();
    samepage_constant_begin();
    for (int i = 0; i < 20; ++i) {
      if (i == 10) {
        EXPECT_TRUE(seal()) << reasons();
      }
      auto* block = static_cast<unsigned char*>(calloc(1, kSize / 4));
      ASSERT_NE(block, nullptr);
      EXPECT_TRUE(std::all_of(block, block + kSize / 4, [](unsigned char one) { return one == 0; })) << i;
      memset(block, 0xff, kSize / 4);
      free(block);
      EXPECT_EQ(mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0), 0);  // all arenas
      if (i < 10) {
        EXPECT_LT(anonymous(), kSize / 4);
      }
    }
    samepage_scope_end();
  });
}

TEST(Store, NoWriteOfAnotherThreadIsLostWhenAllocationInTheStoreEnds) {
  for (int round = 0; round < 10; ++round)
    in_a_process([round] {
      ASSERT_TRUE(allocate_in_store()) << reasons();
      Constants constants;
      EXPECT_LT(anonymous(), kSize / 10);
      std::atomic<bool> stop = false;
      std::atomic<std::size_t> lost = 0, turns = 0;
      std::thread writer([&] {
        for (std::size_t turn = 1; !stop; ++turn, turns = turn)
          for (std::size_t page = 0; page < kSize / kPage; page += 7) {
            volatile unsigned char& byte = constants.page(page)[9 * 64 + 5];
            if (turn > 1 && byte != static_cast<unsigned char>(turn - 1 + page)) ++lost;
            byte = static_cast<unsigned char>(turn + page);
          }
      });
      while (turns < 3) std::this_thread::yield();
      if (round % 2) {
        const bool sealed = seal();  // what lies beside needs the writer to stop in time
        EXPECT_TRUE(sealed || store_statistics().reasons[SAMEPAGE_STORE_THREADS]) << reasons();
      } else if (const pid_t child = fork(); child == 0) {
        _exit(0);
      }
      for (const std::size_t seen = turns; turns < seen + 3;) std::this_thread::yield();
      stop = true;
      writer.join();
      EXPECT_EQ(lost, 0u);
      EXPECT_GE(store_statistics().sealed, kSize / 10 * 9);
    });
}

/// A fork after which neither sees what the other writes, and after which freed memory is zero.
void expect_a_good_fork(Constants& constants) {
  const pid_t child = fork();
  if (child == 0) {
    change(constants, 1);
    _exit(is_changed(constants, 1) && constants.wrong() == 0 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(constants.wrong(), 0u);
  EXPECT_FALSE(is_changed(constants, 1));
  constants.release();
  EXPECT_EQ(mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0), 0);
  const ConstantScope scope;
  auto* block = static_cast<unsigned char*>(calloc(1, kSize));
  ASSERT_NE(block, nullptr);
  EXPECT_TRUE(std::all_of(block, block + kSize, [](unsigned char one) { return one == 0; }));
}

TEST(Store, AProgramThatHasClosedTheFilesOfAllocationInTheStoreForksAllTheSame) {
  in_a_process([] {
    ASSERT_TRUE(allocate_in_store()) << reasons();
    Constants constants;
    for (int fd = 3; fd < 1100; ++fd) close(fd);
    expect_a_good_fork(constants);
    EXPECT_EQ(store_statistics().sealed, 0u);
  });
}

TEST(Store, FilesOfAllocationInTheStoreThatCannotBeSealedStayThisProcesss) {
  in_a_process([] {
    ASSERT_TRUE(allocate_in_store()) << reasons();
    Constants constants;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      if (read_symlink(entry, gone).string().find("samepage-store") == std::string::npos) continue;
      const int fd = open(entry.path().c_str(), O_RDWR | O_CLOEXEC);
      mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);  // no F_SEAL_WRITE after this
      close(fd);
    }
    expect_a_good_fork(constants);
    EXPECT_EQ(store_statistics().sealed, 0u);
  });
}

TEST(Store, WhatAProgramDidToMemoryOfTheStoreStaysWhenItForks) {
  in_a_process([] {
    ASSERT_TRUE(allocate_in_store()) << reasons();
    Constants constants;
    ASSERT_EQ(mprotect(constants.page(100), 16 * kPage, PROT_READ), 0);
    void* own = mmap(constants.page(2000), 8 * kPage, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    ASSERT_EQ(own, constants.page(2000));
    memset(own, 0x5a, 8 * kPage);
    for (std::size_t page = 4000; page < 8000; page += 40)  // holes
      ASSERT_EQ(madvise(constants.page(page), 20 * kPage, MADV_REMOVE), 0);
    const pid_t child = fork();
    if (child == 0) {
      const int null = open("/dev/zero", O_RDONLY | O_CLOEXEC);
      const bool is_protected = read(null, constants.page(100), 1) == -1 && errno == EFAULT;
      const bool is_own = constants.page(2000)[5] == 0x5a && constants.page(2007)[5] == 0x5a;
      memset(constants.page(4000), 7, 20 * kPage);
      _exit(is_protected && is_own ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(constants.page(4000)[0], 0);
    EXPECT_EQ(constants.page(2000)[5], 0x5a);
  });
}

TEST(Store, FreedConstantsAreZeroWhenTheyComeBackFromCalloc) {
  in_a_process([] {
    Constants constants;
    ASSERT_TRUE(seal()) << reasons();
    constants.release();
    samepage_constant_begin();
    for (int i = 0; i < 8; ++i) {
      auto* block = static_cast<unsigned char*>(calloc(1, kSize / 4));
      ASSERT_NE(block, nullptr);
      EXPECT_TRUE(std::all_of(block, block + kSize / 4, [](unsigned char byte) { return byte == 0; }));
    }
    samepage_scope_end();
  });
}

/// Noise that no other has, as constants.
std::vector<unsigned char*> more_constants(std::size_t count, std::size_t size) {
  const ConstantScope scope;
  std::vector<unsigned char*> pieces(count);
  for (std::size_t i = 0; i < count; ++i) {
    pieces[i] = static_cast<unsigned char*>(aligned_alloc(kPage, size));
    for (std::size_t at = 0; at < size; ++at)
      pieces[i][at] = static_cast<unsigned char>(at * 7 + at / kPage * 13 + i + 1);
  }
  return pieces;
}

TEST(Store, WhatComesToASealedBlockIsSealedByTheNextSeal) {
  in_a_process([] {
    Constants constants;  // one block and a half
    ASSERT_TRUE(seal()) << reasons();
    for (std::size_t round = 1; round <= 2; ++round) {
      const auto more = more_constants(1, std::size_t{5} << 20);
      const std::size_t before = store_statistics().sealed;
      ASSERT_TRUE(seal()) << reasons();
      EXPECT_GE(store_statistics().sealed, before + (std::size_t{9} << 19));
      EXPECT_EQ(more.front()[9 * kPage + 1], static_cast<unsigned char>((9 * kPage + 1) * 7 + 9 * 13 + 1));
    }
    EXPECT_EQ(constants.wrong(), 0u);
    const std::size_t sealed = anonymous();
    ASSERT_TRUE(reshare());
    EXPECT_LT(anonymous(), sealed + (std::size_t{1} << 20));
  });
}

TEST(Store, WhatComesToAddressesThatWereFreedIsSealedByTheNextSeal) {
  in_a_process([] {
    Constants constants;
    auto freed = more_constants(64, std::size_t{1} << 18);
    ASSERT_TRUE(seal()) << reasons();
    for (unsigned char* piece : freed) free(piece);
    ASSERT_EQ(mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0), 0);
    const std::size_t without = store_statistics().sealed;
    const auto anew = more_constants(64, std::size_t{1} << 18);
    ASSERT_TRUE(seal()) << reasons();
    EXPECT_GE(store_statistics().sealed, without + (std::size_t{14} << 20));
    for (std::size_t i = 0; i < anew.size(); ++i)
      ASSERT_EQ(anew[i][5 * kPage + 3], static_cast<unsigned char>((5 * kPage + 3) * 7 + 5 * 13 + i + 1));
    EXPECT_EQ(constants.wrong(), 0u);
  });
}

TEST(Store, UnsealMakesPrivateMemoryWithTheSameBytes) {
  in_a_process([] {
    Constants constants;
    ASSERT_TRUE(seal()) << reasons();
    const std::size_t sealed = anonymous();
    constants[7 * kPage + 1] = 77;
    ASSERT_TRUE(unseal()) << reasons();
    EXPECT_GE(anonymous(), sealed + kSize / 10 * 9);
    EXPECT_EQ(constants[7 * kPage + 1], 77);
    EXPECT_EQ(constants.wrong(), 0u);
    EXPECT_FALSE(seal());
    EXPECT_THAT(reasons(), testing::HasSubstr("off"));
  });
}

std::vector<int> store_files_opened_for_writing() {
  std::vector<int> files;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (read_symlink(entry, gone).string().find("samepage-store") == std::string::npos) continue;
    files.push_back(open(entry.path().c_str(), O_RDWR | O_CLOEXEC));
  }
  return files;
}

TEST(Store, NobodyCanWriteToWhatIsSealed) {
  in_a_process([] {
    ASSERT_TRUE(allocate_in_store()) << reasons();
    Constants constants;
    const std::vector<int> files = store_files_opened_for_writing();  // while that is possible
    ASSERT_TRUE(seal()) << reasons();
    int tried = 0;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find("memfd:samepage-store") == line.npos || line.find(" r--s ") == line.npos) continue;
      auto* view = reinterpret_cast<char*>(std::stoull(line, nullptr, 16));
      EXPECT_NE(mprotect(view, kPage, PROT_READ | PROT_WRITE), 0);
      ++tried;
    }
    EXPECT_GT(tried, 0);
    tried = 0;
    for (const int fd : files) {
      if (!(fcntl(fd, F_GET_SEALS) & F_SEAL_WRITE)) continue;  // a spare one
      EXPECT_NE(pwrite(fd, "x", 1, 0), 1);
      EXPECT_NE(ftruncate(fd, 0), 0);
      EXPECT_EQ(mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
      ++tried;
    }
    EXPECT_GT(tried, 0);
    EXPECT_EQ(constants.wrong(), 0u);
  });
}

/// Where no seccomp filter and no Yama forbids it.
bool threads_can_be_stopped() {
  int scope = 0;
  std::ifstream("/proc/sys/kernel/yama/ptrace_scope") >> scope;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line == "Seccomp:\t2") return false;
  return scope < 2;
}

TEST(Store, NoWriteOfAnotherThreadIsLost) {
  if (!threads_can_be_stopped()) GTEST_SKIP() << "threads may not be stopped here";
  in_a_process([] {
    Constants constants;
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    std::vector<std::size_t> lost(3), writes(3);
    for (std::size_t t = 0; t < 3; ++t)
      threads.emplace_back([&, t] {
        unsigned char last[64] = {};
        for (std::size_t n = 0; !stop; ++n) {
          const std::size_t slot = n % 64;
          volatile unsigned char* byte = constants.page((slot * 97 + t * 31) % (kSize / kPage)) + 8 + t;
          if (n >= 64 && *byte != last[slot]) ++lost[t];
          const auto next = static_cast<unsigned char>(n >= 64 ? last[slot] + n % 2 : *byte);
          *byte = last[slot] = next;
          ++writes[t];
        }
      });
    bool sealed = false;
    for (int i = 0; !sealed && i < 50; ++i) sealed = seal();  // on a busy machine a thread may stop late
    for (int i = 0; sealed && i < 50; ++i) reshare();
    stop = true;
    for (auto& thread : threads) thread.join();
    EXPECT_TRUE(sealed) << reasons();
    EXPECT_THAT(lost, testing::Each(0u));
    EXPECT_THAT(writes, testing::Each(testing::Gt(1000u)));
  });
}

}  // namespace
}  // namespace samepage
