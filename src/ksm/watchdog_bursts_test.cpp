#include "ksm/watchdog_bursts.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "linux/test_folder.hpp"
#include "linux/unique_fd.hpp"

namespace samepage {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;

class WatchdogBurstsTest : public ::testing::Test {
 protected:
  WatchdogBurstsTest() {
    places_.run = places_.sysfs = folder_;
    std::ofstream(places_.sysfs / "full_scans") << 0;
  }

  void listen() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (places_.run / "watchdog.sock").native().copy(address.sun_path, sizeof address.sun_path - 1);
    server_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_EQ(::bind(server_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(server_.get(), 8), 0);
  }
  /// The next client's line, empty of one that says nothing; "-" without a client.
  std::string line() const {
    const UniqueFd client(::accept4(server_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) return "-";
    char text[64];
    const ssize_t size = ::recv(client.get(), text, sizeof text, 0);
    return {text, static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  }

  const TestFolder folder_;
  KsmPlaces places_;
  UniqueFd server_;
};

TEST_F(WatchdogBurstsTest, WithoutAWatchdogThereIsNothingToAsk) {
  EXPECT_FALSE(WatchdogBursts::find(places_));
  places_.run = std::string(200, 'x');
  EXPECT_FALSE(WatchdogBursts::find(places_));
}

TEST_F(WatchdogBurstsTest, AsksOnceForEachBurstThatIsWorthIt) {
  listen();
  auto bursts = WatchdogBursts::find(places_);
  ASSERT_TRUE(bursts);
  EXPECT_EQ(line(), "");
  int asked = 0;
  double seconds = 0;
  const auto go_on = [&](std::uint64_t megabytes, std::uint64_t merged) {
    for (const double end = seconds + 20; seconds < end; seconds += 0.5)
      asked += bursts->worth_asking({seconds, megabytes * kMiB, merged * kMiB});
  };
  go_on(100, 0);
  EXPECT_EQ(asked, 1);
  for (const int passes : {5, 10}) {  // the second brings no more
    std::ofstream(places_.sysfs / "full_scans") << passes;
    go_on(100, 99);
  }
  EXPECT_EQ(asked, 1);
  go_on(200, 99);
  EXPECT_EQ(asked, 2);
  bursts->ask(4711);
  EXPECT_EQ(line(), "burst 4711\n");
  EXPECT_EQ(line(), "-");
}

TEST_F(WatchdogBurstsTest, AWatchdogThatWentIsNoHarm) {
  listen();
  const auto bursts = WatchdogBursts::find(places_);
  server_ = UniqueFd();
  ASSERT_TRUE(bursts);
  bursts->ask(4711);
}

}  // namespace
}  // namespace samepage
