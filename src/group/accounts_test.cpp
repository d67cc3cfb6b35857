#include "group/accounts.hpp"

#define FMT_HEADER_ONLY
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "linux/test_folder.hpp"

namespace samepage {
namespace {

constexpr pid_t kLauncher = 100, kTemplate = 200, kCopy = 300;

/// A /proc of this test's own.
class AccountsTest : public testing::Test {
 protected:
  ~AccountsTest() override { std::filesystem::remove_all(root_); }

  void process(pid_t pid, pid_t parent, char state, unsigned code, unsigned stack,
               const std::string& environment = "") {
    const auto folder = root_ / std::to_string(pid);
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "stat") << fmt::format(
        "{} (job) {} {} 1 1 0 -1 4194560 9 9 0 0 1 1 0 0 20 0 1 0 {} 9000000 500 18446744073709551615 {} 9 "
        "{} "
        "0 0 0\n",
        pid, state, parent, pid * 10, code, stack);
    std::ofstream(folder / "environ") << environment << '\0';
    std::ofstream(folder / "status") << "VmHWM:\t3000 kB\nVmRSS:\t2000 kB\nRssAnon:\t1500 kB\n";
    std::ofstream(folder / "smaps_rollup")
        << "Rss: 2000 kB\nPss: 1000 kB\nPrivate_Dirty: 500 kB\nShared_Dirty: 1500 kB\n";
  }
  /// What a process that `process` made has of a library, and in the store and given back.
  void mappings(pid_t pid, unsigned library_kb, unsigned given_back_kb) {
    const auto mapping = [](const char* header, unsigned rss, unsigned dirty, unsigned anonymous) {
      return fmt::format("{}\nRss: {} kB\nPrivate_Dirty: {} kB\nAnonymous: {} kB\n", header, rss, dirty,
                         anonymous);
    };
    std::ofstream(root_ / std::to_string(pid) / "smaps")
        << mapping("7f0000000000-7f0000200000 rw-p 00001000 fe:00 77 /usr/lib/libdata.so", 1000, library_kb,
                   library_kb)
        << mapping("7f0000200000-7f0000400000 r--p 00001000 00:21 78 /dev/shm/tmpfs.so", 1000, 900, 0)
        << mapping("7f0000400000-7f0000600000 rw-p 00000000 00:00 0 ", 700, 700, 700)
        << mapping("7f0000600000-7f0000800000 rw-p 00000000 00:05 5 /dev/zero", 700, 700, 700)
        << mapping("7f1000000000-7f1000200000 rw-p 00000000 00:01 79 /memfd:samepage-store (deleted)",
                   2048 - given_back_kb, 50, 50)
        << mapping("7f1000200000-7f1000400000 rw-s 00000000 00:01 80 /dev/shm/table", 60, 60, 0);
  }
  void gone(pid_t pid) { std::filesystem::remove_all(root_ / std::to_string(pid)); }

  void start_a_copy() {
    process(kTemplate, kLauncher, 'S', 11, 22);
    accounts_.set_template(kTemplate);
    process(kCopy, kLauncher, 'R', 11, 22);
    accounts_.add_copy(0, kCopy, "job", {"job", "0"});
  }

  const TestFolder root_;
  ProcFs proc_{root_};
  ProcessTree tree_{proc_, kLauncher};
  Accounts accounts_{proc_, tree_};
};

TEST_F(AccountsTest, ACopyThatExecsHasALayoutOfItsOwn) {
  start_a_copy();
  accounts_.look();
  EXPECT_FALSE(accounts_.rows().at(0).own_layout);
  process(kCopy, kLauncher, 'R', 33, 44);
  accounts_.look();
  EXPECT_TRUE(accounts_.rows().at(0).own_layout);
}

TEST_F(AccountsTest, ACopyThatIsAboutToEndHasNotLeftTheLayout) {
  start_a_copy();
  process(kCopy, kLauncher, 'R', 0, 0);  // its memory has gone, it is no zombie yet
  accounts_.look();
  EXPECT_FALSE(accounts_.rows().at(0).own_layout);
}

TEST_F(AccountsTest, ACopyThatMayNotBeLookedIntoHasNotLeftTheLayout) {
  start_a_copy();
  process(kCopy, kLauncher, 'R', 1, 0);  // what the kernel says of code and stack then
  accounts_.look();
  EXPECT_FALSE(accounts_.rows().at(0).own_layout);
}

TEST_F(AccountsTest, WithoutACommonLayoutNobodyLeavesIt) {
  process(kCopy, kLauncher, 'R', 11, 22);
  accounts_.add_copy(0, kCopy, "job", {"job"});
  accounts_.look();
  EXPECT_FALSE(accounts_.rows().at(0).own_layout);
}

TEST_F(AccountsTest, TheTemplateAndTheProcessBetweenAreNoRows) {
  start_a_copy();
  process(250, kTemplate, 'S', 11, 22);  // forks the next copy
  process(301, 250, 'S', 11, 22);        // which is not known yet
  accounts_.look();
  ASSERT_EQ(accounts_.rows().size(), 1u);
  gone(250);
  process(301, kLauncher, 'S', 11, 22);  // orphaned, still with the template's environment
  accounts_.look();
  EXPECT_EQ(accounts_.rows().size(), 1u);
  accounts_.add_copy(1, 301, "job", {"job", "1"});
  accounts_.look();
  ASSERT_EQ(accounts_.rows().size(), 2u);
  EXPECT_EQ(accounts_.rows()[1].copy, 1u);
}

TEST_F(AccountsTest, DataOfLibrariesAndPagesGivenBackAreKnownByTheirMappings) {
  start_a_copy();
  mappings(kCopy, 300, 400);
  accounts_.look();
  EXPECT_EQ(accounts_.rows().at(0).library_data_kb, 300u);
  ASSERT_FALSE(accounts_.samples().empty());
  EXPECT_EQ(accounts_.samples()[0].alone_kb, 2000u + 400u);
}

TEST_F(AccountsTest, WhatTheStoreHoldsAndNobodyMapsIsHeldToo) {
  start_a_copy();
  gone(kTemplate);
  accounts_.template_gone();
  std::ofstream(root_ / std::to_string(kCopy) / "smaps_rollup")
      << "Rss: 2000 kB\nPss: 1000 kB\nPss_Shmem: 300 kB\n";
  accounts_.set_store([] { return 500; });
  accounts_.look();
  EXPECT_EQ(accounts_.counted()->together_kb, 1200u);
}

TEST_F(AccountsTest, AnOrphanIsKnownByItsEnvironment) {
  start_a_copy();
  process(400, kLauncher, 'S', 33, 44, "SAMEPAGE_RANK=3");
  accounts_.look();
  ASSERT_EQ(accounts_.rows().size(), 2u);
  EXPECT_EQ(accounts_.rows()[1].copy, 3u);
}

TEST_F(AccountsTest, AShortLivedCopyHasItsCommandLine) {
  start_a_copy();
  gone(kCopy);
  accounts_.look();
  EXPECT_EQ(accounts_.rows().at(0).name, "job");
  EXPECT_EQ(accounts_.rows().at(0).command, "job 0");
}

TEST_F(AccountsTest, TheTemplatesShareIsHeldUntilItHasGone) {
  start_a_copy();
  accounts_.look();
  const auto with = accounts_.samples().back().together_kb;
  EXPECT_EQ(with, 2000u);
  EXPECT_EQ(accounts_.samples().back().processes, 1u);
  EXPECT_EQ(accounts_.samples().back().alone_kb, 2000u);
}

}  // namespace
}  // namespace samepage
