#include "linux/ksm_sysfs.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "linux/test_folder.hpp"

namespace samepage {
namespace {

class KsmSysfsTest : public ::testing::Test {
 protected:
  void put(const char* name, const char* text) { std::ofstream(root_ / name) << text; }
  std::string text(const char* name) {
    std::ifstream in(root_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  const TestFolder root_;
  KsmSysfs sysfs() { return KsmSysfs(root_); }
};

TEST_F(KsmSysfsTest, ReadsWhatLinux618Says) {
  put("run", "1\n");
  put("advisor_mode", "[none] scan-time\n");
  put("pages_sharing", "384256\n");
  put("full_scans", "7\n");
  put("general_profit", "-12800\n");
  EXPECT_EQ(sysfs().read(KsmSetting::run).value, "1");
  EXPECT_EQ(sysfs().read(KsmSetting::advisor_mode).value, "none");
  put("advisor_mode", "none [scan-time]\n");
  EXPECT_EQ(sysfs().read(KsmSetting::advisor_mode).value, "scan-time");
  KsmCounters counters = sysfs().counters();
  EXPECT_EQ(counters.pages_sharing, 384256u);
  EXPECT_EQ(counters.full_scans, 7u);
  EXPECT_EQ(counters.general_profit, -12800);
}

TEST_F(KsmSysfsTest, MissingIsNotZero) {
  put("pages_sharing", "0\n");
  EXPECT_EQ(sysfs().counters().pages_sharing, 0u);
  EXPECT_EQ(sysfs().counters().ksm_zero_pages, std::nullopt);
  EXPECT_EQ(sysfs().read(KsmSetting::advisor_mode).access, KsmAccess::missing);
  EXPECT_EQ(sysfs().writable(KsmSetting::run), KsmAccess::missing);
  EXPECT_EQ(sysfs().write(KsmSetting::run, "1"), KsmAccess::missing);
  EXPECT_FALSE(std::filesystem::exists(root_ / "run"));
}

TEST_F(KsmSysfsTest, WhatIsNoNumberIsAbsent) {
  for (const char* text : {"", "\n", "12 34\n", "many\n", "-1\n", "99999999999999999999999\n"}) {
    put("pages_shared", text);
    EXPECT_EQ(sysfs().counters().pages_shared, std::nullopt) << text;
  }
}

TEST_F(KsmSysfsTest, RunTakesZeroAndOneAlone) {
  put("run", "1\n");
  for (const char* text : {"2", "2\n", "02", "", "10", "-1"})
    EXPECT_EQ(sysfs().write(KsmSetting::run, text), KsmAccess::refused) << text;
  EXPECT_EQ(text("run"), "1\n");
  EXPECT_EQ(sysfs().write(KsmSetting::run, "0"), KsmAccess::ok);
  EXPECT_EQ(text("run"), "0");
}

TEST_F(KsmSysfsTest, TheHostIsUnMergedByItsOwnCallAlone) {
  EXPECT_EQ(sysfs().unmerge_host(), KsmAccess::missing);
  put("run", "1\n");
  EXPECT_EQ(sysfs().unmerge_host(), KsmAccess::ok);
  EXPECT_EQ(sysfs().text("run"), "2");
  EXPECT_EQ(sysfs().text("max_page_sharing"), std::nullopt);
}

TEST_F(KsmSysfsTest, DeniedIsTold) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may do everything";
  put("run", "0\n");
  ::chmod((root_ / "run").c_str(), 0444);
  EXPECT_EQ(sysfs().writable(KsmSetting::run), KsmAccess::denied);
  EXPECT_EQ(sysfs().write(KsmSetting::run, "1"), KsmAccess::denied);
  ::chmod((root_ / "run").c_str(), 0);
  EXPECT_EQ(sysfs().read(KsmSetting::run).access, KsmAccess::denied);
}

TEST_F(KsmSysfsTest, AWriteThatTheKernelTurnsDownIsRefused) {
  std::filesystem::create_symlink("/dev/full", root_ / "pages_to_scan");
  EXPECT_EQ(sysfs().write(KsmSetting::pages_to_scan, "100"), KsmAccess::refused);
}

}  // namespace
}  // namespace samepage
