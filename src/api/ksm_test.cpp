#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <samepage/ksm.hpp>
#include <string>
#include <thread>

#include "linux/test_folder.hpp"

namespace samepage {
namespace {

constexpr std::size_t kPage = 4096, kSize = 16 * kPage;

bool kernel_has_ksm() {
  return access("/sys/kernel/mm/ksm/run", F_OK) == 0;
}

char* some_memory() {
  return static_cast<char*>(mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/// Bytes of registered mappings, from smaps.
std::size_t registered() {
  std::ifstream smaps("/proc/self/smaps");
  std::size_t bytes = 0, size = 0;
  for (std::string line; std::getline(smaps, line);) {
    std::size_t start = 0, end = 0;
    if (std::sscanf(line.c_str(), "%zx-%zx ", &start, &end) == 2) size = end - start;
    if (line.starts_with("VmFlags:") && line.find(" mg") != line.npos) bytes += size;
  }
  return bytes;
}

TEST(Ksm, WholePagesInARange) {
  if (!kernel_has_ksm()) GTEST_SKIP() << "this kernel has no KSM";
  char* memory = some_memory();
  {
    const KsmRegistration registration(memory + 1, 4 * kPage);
    EXPECT_TRUE(registration);
    EXPECT_EQ(registered(), 3 * kPage);
  }
  EXPECT_EQ(registered(), 0u);
  EXPECT_EQ(samepage_ksm_register(memory + 1, kPage), SAMEPAGE_OK);
  EXPECT_EQ(registered(), 0u);
  munmap(memory, kSize);
}

TEST(Ksm, BadArguments) {
  EXPECT_EQ(samepage_ksm_register(nullptr, 1), SAMEPAGE_INVALID);
  EXPECT_EQ(samepage_ksm_register("", 0), SAMEPAGE_INVALID);
  EXPECT_EQ(samepage_ksm_deregister("x", SIZE_MAX), SAMEPAGE_INVALID);
  EXPECT_EQ(samepage_ksm_statistics(nullptr), SAMEPAGE_INVALID);
}

TEST(Ksm, TheWholeProcess) {
  char* memory = some_memory();
  const int code = samepage_ksm_register_all();
  if (code == SAMEPAGE_NO_KSM) GTEST_SKIP() << "this kernel has no PR_SET_MEMORY_MERGE";
  ASSERT_EQ(code, SAMEPAGE_OK);
  EXPECT_EQ(ksm_statistics().registered_all, 1);
  EXPECT_GE(registered(), kSize);
  EXPECT_TRUE(ksm_deregister_all());
  EXPECT_EQ(ksm_statistics().registered_all, 0);
  EXPECT_EQ(registered(), 0u);
  munmap(memory, kSize);
}

/// A watchdog that reads one line and answers with another.
class Watchdog {
 public:
  explicit Watchdog(const std::string& answer) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.native().copy(address.sun_path, sizeof address.sun_path - 1);
    fd_ = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(fd_, 1), 0);
    setenv("SAMEPAGE_WATCHDOG_SOCKET", path_.c_str(), 1);
    thread_ = std::thread([this, answer] {
      const int client = accept(fd_, nullptr, nullptr);
      char line[256] = "";
      if (read(client, line, sizeof line - 1) > 0) asked = line;
      for (const char byte : answer) EXPECT_EQ(send(client, &byte, 1, MSG_NOSIGNAL), 1);
      close(client);
    });
  }
  ~Watchdog() {
    thread_.join();
    close(fd_);
    unsetenv("SAMEPAGE_WATCHDOG_SOCKET");
  }
  std::string asked;

 private:
  const TestFolder folder_;
  const std::filesystem::path path_ = folder_ / "socket";
  int fd_;
  std::thread thread_;
};

TEST(KsmBurst, IsAskedForAndAnswered) {
  std::string asked;
  {
    Watchdog watchdog("ok started\n");
    EXPECT_EQ(ksm_burst(), "");
  }
  {
    Watchdog watchdog("no a burst just ended; again in 12 s\n");
    EXPECT_EQ(ksm_burst(), "a burst just ended; again in 12 s");
  }
  {
    Watchdog watchdog("no a long reason\n");
    char reason[5];
    EXPECT_EQ(samepage_ksm_burst(reason, sizeof reason), SAMEPAGE_REFUSED);
    EXPECT_STREQ(reason, "a lo");
    EXPECT_EQ(watchdog.asked, "burst " + std::to_string(getpid()) + "\n");
  }
}

TEST(KsmBurst, ABrokenAnswerIsNone) {
  for (const char* answer : {"", "ok", "okay\n", "yes\n", "no\n"}) {
    Watchdog watchdog(answer);
    EXPECT_EQ(samepage_ksm_burst(nullptr, 0), SAMEPAGE_NO_WATCHDOG) << answer;
  }
}

TEST(KsmBurst, NobodyListens) {
  setenv("SAMEPAGE_WATCHDOG_SOCKET", "/nonexistent/socket", 1);
  EXPECT_EQ(ksm_burst(), samepage_error_string(SAMEPAGE_NO_WATCHDOG));
  setenv("SAMEPAGE_WATCHDOG_SOCKET", std::string(500, 'x').c_str(), 1);
  EXPECT_EQ(samepage_ksm_burst(nullptr, 0), SAMEPAGE_NO_WATCHDOG);
  unsetenv("SAMEPAGE_WATCHDOG_SOCKET");
}

}  // namespace
}  // namespace samepage
