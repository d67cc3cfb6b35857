#include "ksm/adopt.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "linux/ksm_sysfs.hpp"
#include "linux/proc_fs.hpp"

namespace samepage {
namespace {

constexpr std::size_t kSize = 64 * 4096;

/// A child that waits, beside memory that is mapped at the same place here.
class AdoptTest : public ::testing::Test {
 protected:
  AdoptTest() {
    if (KsmSysfs().read(KsmSetting::run).access == KsmAccess::missing) return;
    void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    range_ = {reinterpret_cast<std::uint64_t>(memory), reinterpret_cast<std::uint64_t>(memory) + kSize};
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      while (true) pause();
    }
  }
  void SetUp() override {
    if (pid_ == 0) GTEST_SKIP() << "this kernel has no KSM";
  }
  ~AdoptTest() override {
    if (pid_) kill(pid_, SIGKILL), waitpid(pid_, nullptr, 0);
    if (range_.start) munmap(reinterpret_cast<void*>(range_.start), kSize);
  }

  std::uint64_t registered() const {
    std::uint64_t bytes = 0;
    const auto mappings = ProcFs().smaps(pid_);
    for (const Mapping& mapping : *mappings)
      if (mapping.mergeable) bytes += mapping.end - mapping.start;
    return bytes;
  }

  AddressRange range_;
  pid_t pid_ = 0;
};

TEST_F(AdoptTest, RangesInAndOut) {
  const AddressRange middle{range_.start + 4096, range_.start + 5 * 4096};
  AdoptResult result = adopt_ranges(pid_, {&middle, 1});
  EXPECT_TRUE(result) << result.why;
  EXPECT_EQ(result.bytes, 4 * 4096u);
  EXPECT_EQ(registered(), 4 * 4096u);
  result = release_ranges(pid_, {&middle, 1});
  EXPECT_TRUE(result) << result.why;
  EXPECT_EQ(registered(), 0u);
}

TEST_F(AdoptTest, AGapIsPassedOver) {
  const AddressRange gap{range_.start, range_.end + (1ULL << 30)};
  EXPECT_TRUE(adopt_ranges(pid_, {&gap, 1}));
  EXPECT_GE(registered(), kSize);
}

TEST_F(AdoptTest, ReleaseTakesAllOut) {
  ASSERT_TRUE(adopt_ranges(pid_, {&range_, 1}));
  const AdoptResult result = release(pid_);
  EXPECT_TRUE(result) << result.why;
  EXPECT_EQ(result.bytes, kSize);
  EXPECT_EQ(registered(), 0u);
}

TEST_F(AdoptTest, AWholeProcess) {
  const AdoptResult result = adopt_whole(pid_);
  if (result.state == AdoptResult::State::not_supported) GTEST_SKIP() << result.why;
  EXPECT_TRUE(result) << result.why;
  EXPECT_GE(registered(), kSize);
  EXPECT_TRUE(release(pid_));
  EXPECT_EQ(registered(), 0u);
}

TEST_F(AdoptTest, ABadRangeIsTold) {
  const AddressRange bad{range_.start + 1, range_.end};
  EXPECT_FALSE(adopt_ranges(pid_, {&bad, 1}));
  EXPECT_EQ(adopt_ranges(0, {&range_, 1}).refusal, RemoteRefusal::gone);
}

}  // namespace
}  // namespace samepage
