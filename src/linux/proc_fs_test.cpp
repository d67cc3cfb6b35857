#include "linux/proc_fs.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "linux/test_folder.hpp"

namespace samepage {
namespace {

TEST(ProcFs, TellsGoneFromPresent) {
  const TestFolder root;
  std::filesystem::create_directories(root / "7");
  std::filesystem::create_directories(root / "self");
  std::ofstream(root / "7" / "ksm_stat") << "ksm_rmap_items 3\n";
  std::ofstream(root / "7" / "ksm_merging_pages") << "5\n";
  const ProcFs proc(root);
  EXPECT_THAT(proc.pids(), testing::ElementsAre(7));
  EXPECT_EQ(proc.ksm_stat(7)->merging_pages, 5u);
  const auto gone = proc.smaps_rollup(7);
  EXPECT_FALSE(gone);
  EXPECT_FALSE(gone.denied);
}

TEST(ProcFs, ReadsThisProcess) {
  const ProcFs proc;
  EXPECT_EQ(proc.stat(getpid())->ppid, getppid());
  EXPECT_GT(proc.smaps_rollup(getpid())->pss, 0u);
  EXPECT_EQ(proc.threads(getpid())->size(), 1u);
}

}  // namespace
}  // namespace samepage
