#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include "linux/test_folder.hpp"
#include "linux/usage_error.hpp"
#include "watchdog/actor.hpp"
#include "watchdog/adopted_book.hpp"
#include "watchdog/metrics.hpp"
#include "watchdog/notify.hpp"
#include "watchdog/only_one.hpp"
#include "watchdog/requests.hpp"
#include "watchdog/sampler.hpp"
#include "watchdog/simulated_host.hpp"
#include "watchdog/trace.hpp"

namespace samepage {
namespace {

class WatchdogFiles : public testing::Test {
 protected:
  void put(const std::filesystem::path& name, const std::string& text) {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  /// A process as /proc shows it: `kb` of anonymous memory.
  void put_process(pid_t pid, const std::string& name, unsigned kb) {
    const std::string folder = "proc/" + std::to_string(pid) + "/";
    put(folder + "stat", std::to_string(pid) + " (" + name +
                             ") S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 77 0 " + std::to_string(kb / 4) +
                             " 0\n");
    put(folder + "status", "Uid:\t1000\t0\t0\t0\nVmRSS:\t" + std::to_string(kb) + " kB\nRssAnon:\t" +
                               std::to_string(kb) + " kB\n");
    put(folder + "cgroup", "0::/batch/7\n");
    std::filesystem::create_symlink("/opt/" + name, root_ / folder / "exe");
  }
  HostSample look(Sampler& sampler, double seconds) {
    AdoptedBook book(root_ / "book");
    return sampler.look(seconds, false, book, {});
  }

  const TestFolder root_;
};

TEST_F(WatchdogFiles, TheSamplerSeesLargeProcessesAndTheirRules) {
  put("ksm/run", "0\n");
  put("ksm/pages_sharing", "5\n");
  put("ksm/max_page_sharing", "256\n");
  put("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 50 kB\nAnonPages: 10 kB\n");
  put_process(10, "reco", 50'000);
  put("proc/10/ksm_stat", "ksm_rmap_items 3\nksm_merging_pages 2\nksm_mergeable: yes\n");
  put_process(11, "small", 300);
  put_process(12, "ksmtuned", 3000);
  Sampler sampler({root_ / "ksm", root_ / "proc", root_},
                  parse_config("[[adopt]]\ncgroup = \"/batch\"\n", "").rules);
  const HostSample sample = look(sampler, 1);
  ASSERT_EQ(sample.processes.size(), 1u);
  const ProcessSeen& process = sample.processes[0];
  EXPECT_EQ(process.executable, "/opt/reco");
  EXPECT_EQ(process.start_time, 77u);
  EXPECT_EQ(process.user, 1000u);
  EXPECT_EQ(process.anonymous, 50'000u * 1024);
  EXPECT_EQ(process.merged, 2u * 4096);
  EXPECT_TRUE(process.registered);
  EXPECT_EQ(process.rule, 0u);
  EXPECT_TRUE(sample.ksmtuned);
  EXPECT_EQ(sample.settings.run, "0");
  EXPECT_EQ(sample.settings.bounds.max_page_sharing, 256u);
  EXPECT_EQ(sample.counters.pages_sharing, 5u);
  EXPECT_EQ(sample.memory_available, 50u * 1024);
}

TEST_F(WatchdogFiles, TheSamplerDoesWithoutTheFilesOfNewerKernels) {
  put("ksm/run", "0\n");
  put_process(10, "reco", 50'000);
  put("proc/10/smaps",
      "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \nRss: 4 kB\nVmFlags: rd wr mr mg ac\n");
  put_process(11, "reco", 50'000);
  Sampler sampler({root_ / "ksm", root_ / "proc", root_}, {});
  const HostSample sample = look(sampler, 1);
  ASSERT_EQ(sample.processes.size(), 2u);
  EXPECT_TRUE(sample.processes[0].registered) << "found in smaps";
  EXPECT_FALSE(sample.processes[1].registered);
  EXPECT_FALSE(sample.processes[0].merged);
  EXPECT_FALSE(sample.settings.advisor_mode);
  EXPECT_FALSE(sample.pressure);
  EXPECT_FALSE(sample.counters.full_scans);
}

TEST_F(WatchdogFiles, ProcessesThatVanishBetweenTwoLooksAreGone) {
  put("ksm/run", "0\n");
  put_process(10, "reco", 50'000);
  Sampler sampler({root_ / "ksm", root_ / "proc", root_}, {});
  EXPECT_EQ(look(sampler, 1).processes.size(), 1u);
  std::filesystem::remove_all(root_ / "proc/10");
  EXPECT_EQ(look(sampler, 2).processes.size(), 0u);
}

TEST_F(WatchdogFiles, ATraceGivesTheSameDecisionsAgain) {
  const std::vector<RuleLimits> rules = {{.name = "reco"}};
  SimulatedHost host({}, rules);
  TraceWriter trace(root_ / "trace", {}, rules);
  SimulatedHost::Process process;
  process.equal = 100'000'000;
  process.rule = 0;
  host.start(10, 3, process);
  for (int i = 0; i < 100; ++i) {
    host.look();
    trace.add(host.now);
    host.run(0.1);
    trace.add(host.now);
  }
  // The same looks, given to a policy of its own.
  std::vector<std::string> replayed;
  replay_trace(root_ / "trace",
               [&](double, const Decision& decision) { replayed.push_back(text_of(decision)); });
  EXPECT_THAT(replayed, testing::Contains(testing::StartsWith("adopt 10: rule reco")));
  EXPECT_THAT(replayed, testing::Contains(testing::StartsWith("burst: 3 processes hold 300 MB")));
}

TEST_F(WatchdogFiles, AnUnreadableTraceIsNamedWithItsLine) {
  const auto error_of = [&](const std::string& text) -> std::string {
    put("trace", text);
    try {
      replay_trace(root_ / "trace", [](double, const Decision&) {});
    } catch (const UsageError& error) {
      return std::string(error.what()).substr(std::string("--replay ").size() + root_.native().size() + 6);
    }
    return "none";
  };
  TraceWriter(root_ / "good", {}, {}).add({});
  std::ifstream in(root_ / "good");
  std::string header, line;
  std::getline(in, header);
  std::getline(in, line);
  EXPECT_EQ(error_of(header + "\n" + line + "\n"), "none");
  EXPECT_EQ(error_of(""), ": is empty");
  EXPECT_EQ(error_of("{}\n"), ":1: is no line of a trace");
  EXPECT_EQ(error_of(R"({"format": "other"})"), ":1: is not a trace of samepage watchdog");
  EXPECT_EQ(error_of(header + "\n{}\n" + line + "\n"), ":2: is no line of a trace");
  for (std::size_t cut = 1; cut < line.size(); cut += 7)
    EXPECT_EQ(error_of(header + "\n" + line.substr(0, cut)), "none") << "a daemon was killed while it wrote";
}

TEST_F(WatchdogFiles, TheBookOutlivesItsDaemon) {
  {
    AdoptedBook book(root_ / "book");
    book.set(10, 77, AdoptedBook::State::adopted);
    book.set(11, 78, AdoptedBook::State::refused);
    book.save();
  }
  AdoptedBook book(root_ / "book");
  EXPECT_EQ(book.state(10, 77), AdoptedBook::State::adopted);
  EXPECT_EQ(book.state(11, 78), AdoptedBook::State::refused);
  EXPECT_EQ(book.state(10, 99), AdoptedBook::State::unknown) << "the PID was used again";
  book.keep_if([](pid_t, std::uint64_t) { return false; });
  book.save();
  EXPECT_FALSE(std::filesystem::exists(root_ / "book"));
}

TEST_F(WatchdogFiles, ADamagedOrStrangersBookIsPassedOver) {
  put("book", "{\"version\": 1, \"processes\": [{\"pid\": 10");
  EXPECT_EQ(AdoptedBook(root_ / "book").state(10, 77), AdoptedBook::State::unknown);
  AdoptedBook written(root_ / "book");
  written.set(10, 77, AdoptedBook::State::adopted);
  written.save();
  std::filesystem::permissions(root_ / "book", std::filesystem::perms::all);
  EXPECT_EQ(AdoptedBook(root_ / "book").state(10, 77), AdoptedBook::State::unknown);
}

TEST_F(WatchdogFiles, ASecondDaemonIsToldOfTheFirst) {
  const OnlyOne first(root_ / "lock");
  try {
    OnlyOne second(root_ / "lock");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()),
              "a watchdog is running already (PID " + std::to_string(::getpid()) + ")");
    EXPECT_EQ(error.status, 1);
  }
}

TEST_F(WatchdogFiles, ADryRunDecidesOnAnAdoptionOnce) {
  AdoptedBook book(root_ / "book");
  Actor actor(std::nullopt, {}, book);
  WatchdogTally tally;
  EXPECT_FALSE(
      actor.carry_out({.what = Decision::What::adopt, .reason = "", .pid = 10, .start_time = 7}, tally));
  EXPECT_EQ(book.state(10, 7), AdoptedBook::State::refused);
  EXPECT_FALSE(actor.carry_out({.what = Decision::What::burst, .reason = ""}, tally));
  EXPECT_FALSE(actor.bursting());
}

class Client {
 public:
  explicit Client(const std::filesystem::path& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  void send(const std::string& text) {
    EXPECT_GT(::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL), 0);
  }
  /// Until the other end closes.
  std::string read() {
    std::string text;
    char buffer[512];
    for (ssize_t size; (size = ::recv(fd_.get(), buffer, sizeof buffer, 0)) > 0;)
      text.append(buffer, static_cast<std::size_t>(size));
    return text;
  }

 private:
  UniqueFd fd_;
};

TEST_F(WatchdogFiles, RequestsAreReadAndAnswered) {
  BurstRequests requests(root_ / "sock", ProcFs());
  Client one(root_ / "sock"), two(root_ / "sock"), three(root_ / "sock");
  one.send("burst ");
  two.send("burst " + std::to_string(::getpid()) + "\n");
  three.send(std::string(300, 'x'));
  EXPECT_THAT(requests.take(0), testing::ElementsAre(::getpid()));
  EXPECT_TRUE(requests.has_clients());
  EXPECT_EQ(three.read(), "no unknown request\n");
  Decision decision{.what = Decision::What::accept, .reason = "started"};
  decision.pid = ::getpid();
  requests.answer_all({decision});
  EXPECT_EQ(two.read(), "ok started\n");
  EXPECT_THAT(requests.take(2), testing::IsEmpty());
  EXPECT_FALSE(requests.has_clients()) << "the slow one is cut off";
  EXPECT_EQ(one.read(), "");
}

TEST(BurstRequestTest, TakesOneFormAlone) {
  EXPECT_EQ(parse_burst_request("burst 42\n"), 42);
  for (const char* line :
       {"burst 0\n", "burst -3\n", "burst self\n", "burst 42", "burst 42 \n", "burst  42\n", "Burst 42\n",
        "burst\n", "\n", "", "burst 99999999999\n", "burst 42\r\n"})
    EXPECT_FALSE(parse_burst_request(line)) << line;
}

TEST_F(WatchdogFiles, SystemdIsTold) {
  const auto path = root_ / "notify";
  const UniqueFd server(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  const Notify notify;
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  notify.send("READY=1");
  char buffer[64] = {};
  EXPECT_EQ(::recv(server.get(), buffer, sizeof buffer, MSG_DONTWAIT), 7);
  EXPECT_STREQ(buffer, "READY=1");
  EXPECT_EQ(notify.sign_of_life(), 30);
  Notify().send("READY=1");
  EXPECT_EQ(::recv(server.get(), buffer, sizeof buffer, MSG_DONTWAIT), -1);
}

TEST(MetricsTest, AreInPrometheussForm) {
  HostSample sample;
  sample.counters.pages_sharing = 2;
  sample.counters.ksm_zero_pages = 1;
  sample.counters.general_profit = -64;
  const std::string text = metrics_text(sample, WatchdogPolicy({}, {}), {});
  EXPECT_THAT(
      text,
      testing::StartsWith(
          "# HELP samepage_ksm_saved_bytes Memory that merging saves on this host, zero pages included.\n"
          "# TYPE samepage_ksm_saved_bytes gauge\nsamepage_ksm_saved_bytes 12288\n"));
  EXPECT_THAT(text, testing::HasSubstr("\nsamepage_ksm_profit_bytes -64\n"));
  EXPECT_THAT(text, testing::HasSubstr("\nsamepage_watchdog_budget_seconds 60\n"));
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("ksmd_cpu"))) << "missing is not zero";
}

}  // namespace
}  // namespace samepage
