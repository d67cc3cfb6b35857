#include "group/environment.hpp"

#include <gmock/gmock.h>

namespace samepage {
namespace {

TEST(SeedHashes, LeavesWhatTheUserChose) {
  Environment environment({"PYTHONHASHSEED=7", "PERL_PERTURB_KEYS=0"});
  seed_hashes(environment);
  EXPECT_THAT(environment.entries(), testing::ElementsAre("PYTHONHASHSEED=7", "PERL_PERTURB_KEYS=0"));
}

TEST(SeedHashes, IsFreshEveryTime) {
  Environment first({}), second({});
  seed_hashes(first);
  seed_hashes(second);
  EXPECT_NE(first.get("PYTHONHASHSEED"), "0");  // which would switch randomisation off
  EXPECT_NE(first.get("PYTHONHASHSEED"), second.get("PYTHONHASHSEED"));
  EXPECT_NE(first.get("PERL_HASH_SEED"), second.get("PERL_HASH_SEED"));
  EXPECT_EQ(first.get("PERL_PERTURB_KEYS"), "2");
}

TEST(PreloadHeap, KeepsWhatIsThere) {
  Environment environment({"LD_PRELOAD=/a.so:/b.so", "A=1"});
  preload_heap(environment, "/heap.so");
  EXPECT_EQ(environment.get("LD_PRELOAD"), "/heap.so:/a.so:/b.so");
}

}  // namespace
}  // namespace samepage
