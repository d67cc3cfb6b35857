#include "ksm/ledger.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>

#include "linux/system_call.hpp"
#include "linux/test_folder.hpp"

namespace samepage {
namespace {

class KsmLedgerTest : public ::testing::Test {
 protected:
  std::optional<KsmLedger> open() { return KsmLedger::open(directory_, why_not_); }
  mode_t mode(const char* name) {
    struct stat status {};
    EXPECT_EQ(::stat((directory_ / name).c_str(), &status), 0);
    return status.st_mode & 07777;
  }

  const TestFolder root_;
  std::filesystem::path directory_ = root_ / "samepage";
  std::string why_not_;
  const KsmRecord record_{{{41, 4100}, {42, 4200}}, {{"run", "0", "1"}, {"pages_to_scan", "100", "20000"}}};
};

TEST_F(KsmLedgerTest, KeepsWhatItIsGiven) {
  EXPECT_FALSE(KsmLedger::exists(directory_));
  ASSERT_TRUE(open()->save(record_));
  EXPECT_TRUE(KsmLedger::exists(directory_));
  std::optional<KsmRecord> read = open()->load();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->holders, record_.holders);
  ASSERT_EQ(read->changes.size(), 2u);
  EXPECT_EQ(read->changes[1].knob, "pages_to_scan");
  EXPECT_EQ(read->changes[1].found, "100");
  EXPECT_EQ(read->changes[1].ours, "20000");
  open()->clear();
  EXPECT_FALSE(KsmLedger::exists(directory_));
  EXPECT_TRUE(open()->load()->holders.empty());
}

TEST_F(KsmLedgerTest, OthersMayReadAndNobodyElseMayWriteOrLock) {
  mode_t before = ::umask(0);
  ASSERT_TRUE(open()->save(record_));
  ::umask(0077);
  ASSERT_TRUE(open()->save(record_));
  ::umask(before);
  EXPECT_EQ(mode("."), 0755u);
  EXPECT_EQ(mode("ksm.json"), 0644u);
  EXPECT_EQ(mode("ksm.lock"), 0600u);
}

TEST_F(KsmLedgerTest, WhatSomebodyElseCouldHaveWrittenIsNotBelieved) {
  ASSERT_TRUE(open()->save(record_));
  ::chmod((directory_ / "ksm.json").c_str(), 0666);
  EXPECT_FALSE(open()->load());
  std::filesystem::rename(directory_ / "ksm.json", directory_ / "elsewhere");
  std::filesystem::create_symlink("elsewhere", directory_ / "ksm.json");
  EXPECT_FALSE(open()->load());
  ::chmod(directory_.c_str(), 0777);
  EXPECT_FALSE(open());
  EXPECT_NE(why_not_.find("we alone may write"), std::string::npos);
}

TEST_F(KsmLedgerTest, RefusesEveryCutAndAnUnknownVersion) {
  ASSERT_TRUE(open()->save(record_));
  std::filesystem::path path = directory_ / "ksm.json";
  std::ifstream in(path);
  std::string whole{std::istreambuf_iterator<char>(in), {}};
  std::size_t end = whole.rfind('}');
  for (std::size_t size = 0; size <= end; ++size) {
    std::ofstream(path, std::ios::trunc) << whole.substr(0, size);
    EXPECT_FALSE(open()->load()) << "cut at " << size;
  }
  std::ofstream(path, std::ios::trunc) << R"({"version": 2, "holders": [], "changes": []})";
  EXPECT_FALSE(open()->load());
  std::ofstream(path, std::ios::trunc) << R"({"version": 1, "holders": [{"pid": "one"}], "changes": []})";
  EXPECT_FALSE(open()->load());
}

TEST_F(KsmLedgerTest, IsLockedWhileItIsOpen) {
  auto is_locked = [&] {
    UniqueFd other(::open((directory_ / "ksm.lock").c_str(), O_RDWR | O_CLOEXEC));
    return ::flock(other.get(), LOCK_EX | LOCK_NB) != 0;
  };
  {
    std::optional<KsmLedger> ledger = open();
    EXPECT_TRUE(is_locked());
  }
  EXPECT_FALSE(is_locked());
}

TEST_F(KsmLedgerTest, SaysWhereItCannotBe) {
  directory_ = "/proc/samepage";
  EXPECT_FALSE(open());
  EXPECT_EQ(why_not_, "cannot make /proc/samepage: No such file or directory");
}

}  // namespace
}  // namespace samepage
