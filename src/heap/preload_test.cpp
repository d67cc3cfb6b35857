// The heap preloaded into a program that knows nothing of it: ctest sets LD_PRELOAD.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "samepage/samepage.h"

extern "C" const char* early_text();
extern char** environ;

namespace {

samepage_heap_stats statistics() {
  samepage_heap_stats stats{};
  auto* f = reinterpret_cast<int (*)(samepage_heap_stats*)>(dlsym(RTLD_DEFAULT, "samepage_heap_statistics"));
  if (f) f(&stats);
  return stats;
}

class Preload : public testing::Test {
  void SetUp() override {
    if (!dlsym(RTLD_DEFAULT, "samepage_heap_statistics"))
      GTEST_SKIP() << "run by ctest with the heap preloaded";
  }
};

int exit_code(pid_t child) {
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Allocates and frees in small pieces, so that jemalloc's activity callback comes round, until `done`.
bool busy_until(const std::function<bool()>& done, std::chrono::seconds limit = std::chrono::seconds(20)) {
  auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    for (int i = 0; i < 1000; ++i) free(malloc(200));
  }
  return true;
}

std::vector<std::string> megabytes(size_t count) {
  std::vector<std::string> strings;
  for (size_t i = 0; i < count * 1000; ++i) strings.emplace_back(1000, 'c');
  return strings;
}

TEST_F(Preload, FirstCallBeforeConstructors) {
  EXPECT_STREQ(early_text(), "early");
}

TEST_F(Preload, Vfork) {
  volatile pid_t child = vfork();
  if (child == 0) {
    execl("/bin/true", "true", nullptr);
    _exit(127);
  }
  EXPECT_EQ(exit_code(child), 0);
  EXPECT_EQ(statistics().settled, 0);
}

TEST_F(Preload, PosixSpawn) {
  pid_t child;
  const char* arguments[] = {"sh", "-c", "exit 7", nullptr};
  ASSERT_EQ(posix_spawn(&child, "/bin/sh", nullptr, nullptr, const_cast<char**>(arguments), environ), 0);
  EXPECT_EQ(exit_code(child), 7);
}

TEST_F(Preload, ForkAndExecStartsAfresh) {
  // The program after exec is no child of ours to the heap: generation 0, constant phase.
  int out[2];
  ASSERT_EQ(pipe(out), 0);
  pid_t child = fork();
  if (child == 0) {
    dup2(out[1], 1);
    std::string self = std::filesystem::read_symlink("/proc/self/exe");
    execl(self.c_str(), self.c_str(), "--print-generation", nullptr);
    _exit(127);
  }
  close(out[1]);
  char text[16] = {};
  EXPECT_GT(read(out[0], text, sizeof text - 1), 0);
  close(out[0]);
  EXPECT_EQ(exit_code(child), 0);
  EXPECT_STREQ(text, "0 0\n");
}

TEST_F(Preload, DlopenWithDeepbindFreesOurBlocks) {
  void* plugin = dlopen(PLUGIN, RTLD_NOW | RTLD_DEEPBIND | RTLD_LOCAL);
  ASSERT_TRUE(plugin) << dlerror();
  auto plugin_free = reinterpret_cast<void (*)(void*)>(dlsym(plugin, "plugin_free"));
  auto plugin_copy = reinterpret_cast<char* (*)(const char*)>(dlsym(plugin, "plugin_copy"));
  plugin_free(malloc(100));
  char* copy = plugin_copy("text");
  EXPECT_STREQ(copy, "text");
  free(copy);
  dlclose(plugin);
}

TEST_F(Preload, DlopenSearchesTheCallersRunpath) {
  // libsamepage-preload-plugin.so lies in this program's RUNPATH only.
  void* plugin = dlopen("libsamepage-preload-plugin.so", RTLD_NOW);
  EXPECT_TRUE(plugin) << dlerror();
}

void free_at_exit(void* p) {
  free(p);
  free(malloc(1000));
}
TEST_F(Preload, ThreadTeardownMayAllocate) {
  pthread_key_t key;
  ASSERT_EQ(pthread_key_create(&key, free_at_exit), 0);
  for (int i = 0; i < 100; ++i) std::thread([&] { pthread_setspecific(key, malloc(100)); }).join();
  pthread_key_delete(key);
}

TEST_F(Preload, TimerSignalsDuringAllocationAndFork) {
  // The handler does what POSIX allows: nothing that allocates.
  static volatile sig_atomic_t ticks;
  struct sigaction action {};
  action.sa_handler = [](int) { ticks = ticks + 1; };
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, nullptr);
  itimerval every{{0, 500}, {0, 500}};
  setitimer(ITIMER_REAL, &every, nullptr);
  for (int i = 0; i < 200; ++i) {
    std::vector<std::string> some(100, std::string(300, 'x'));
    pid_t child = fork();
    if (child == 0) _exit(std::string(5000, 'y').size() == 5000 ? 0 : 1);
    EXPECT_EQ(exit_code(child), 0);
  }
  itimerval never{};
  setitimer(ITIMER_REAL, &never, nullptr);
  EXPECT_GT(ticks, 0);
}

TEST_F(Preload, SettlesByItselfWhenTheHeapStopsGrowing) {
  if (!getenv("SAMEPAGE_SETTLE_QUIET")) GTEST_SKIP() << "needs SAMEPAGE_SETTLE_QUIET";
  auto constants = megabytes(40);
  EXPECT_EQ(statistics().settled, 0);
  EXPECT_TRUE(busy_until([] { return statistics().settled == 1; }));
  // Wrong after all: most of it is freed again, and the heap goes back.
  constants.clear();
  constants.shrink_to_fit();
  EXPECT_TRUE(busy_until([] { return statistics().settled == 0; }));
}

TEST_F(Preload, SettlesWhenAFileAppears) {
  const char* file = getenv("SAMEPAGE_SETTLE_FILE");
  if (!file) GTEST_SKIP() << "needs SAMEPAGE_SETTLE_FILE";
  EXPECT_FALSE(busy_until([] { return statistics().settled == 1; }, std::chrono::seconds(1)));
  std::ofstream{file};
  EXPECT_TRUE(busy_until([] { return statistics().settled == 1; }));
  std::filesystem::remove(file);
}

// The VmFlags of the mapping that holds `address`.
std::string flags_of(const void* address) {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  while (std::getline(smaps, line)) {
    unsigned long begin, end;
    if (sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2)
      inside =
          reinterpret_cast<unsigned long>(address) >= begin && reinterpret_cast<unsigned long>(address) < end;
    else if (inside && line.starts_with("VmFlags:"))
      return line;
  }
  return "";
}

TEST_F(Preload, RegistersConstantsWithKsmAtSettle) {
  const char* mode = getenv("SAMEPAGE_KSM");
  if (!mode) GTEST_SKIP() << "needs SAMEPAGE_KSM";
  if (access("/sys/kernel/mm/ksm/run", F_OK)) GTEST_SKIP() << "this kernel has no KSM";
  auto constants = megabytes(5);
  const bool all = std::string(mode) == "all";
  EXPECT_EQ(flags_of(constants[0].data()).find(" mg") != std::string::npos, all);
  auto settle = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "samepage_settle"));
  ASSERT_EQ(settle(), SAMEPAGE_OK);
  EXPECT_THAT(flags_of(constants[0].data()), testing::HasSubstr(" mg"));
  auto tactical = megabytes(5);
  EXPECT_EQ(flags_of(tactical[0].data()).find(" mg") != std::string::npos, all);
  EXPECT_GT(statistics().ksm_registered, 5'000'000u);
}

TEST_F(Preload, AsksForHugePagesWhereTheUserDoes) {
  if (!getenv("MALLOC_CONF")) GTEST_SKIP() << "needs MALLOC_CONF=thp:always";
  std::string policy;
  std::getline(std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled"), policy);
  if (policy.find("[madvise]") == std::string::npos) GTEST_SKIP() << "huge pages are not by madvise here";
  auto constants = megabytes(5);
  EXPECT_THAT(flags_of(constants[0].data()), testing::HasSubstr(" hg"));
}

TEST_F(Preload, TakesEventMemoryOutOfAProcessThatIsOptedInWhole) {
  const char* mode = getenv("SAMEPAGE_KSM");
  if (!mode || std::string(mode) != "constant") GTEST_SKIP() << "needs SAMEPAGE_KSM=constant";
  if (prctl(67 /* PR_SET_MEMORY_MERGE */, 1, 0, 0, 0))
    GTEST_SKIP() << "the kernel has no PR_SET_MEMORY_MERGE";
  auto settle = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "samepage_settle"));
  ASSERT_EQ(settle(), SAMEPAGE_OK);
  auto tactical = megabytes(5);
  EXPECT_THAT(flags_of(tactical[0].data()), testing::Not(testing::HasSubstr(" mg")));
  prctl(67, 0, 0, 0, 0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--print-generation") {
    auto stats = statistics();
    printf("%u %d\n", stats.generation, stats.settled);
    return 0;
  }
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
