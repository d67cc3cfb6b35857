#include "linux/remote_calls.hpp"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <functional>
#include <thread>

#include "linux/proc_fs.hpp"
#include "linux/unique_fd.hpp"

namespace samepage {
namespace {

#ifdef __SANITIZE_THREAD__
constexpr bool kInstrumented = true;
#else
constexpr bool kInstrumented = false;
#endif

/// A child that runs `body` and exits with what that returns.
class Child {
 public:
  explicit Child(const std::function<int()>& body) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    ready_ = UniqueFd(ends[0]);
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      ready_fd = ends[1];
      _exit(body());
    }
    close(ends[1]);
  }
  ~Child() {
    if (pid_ > 0) kill(pid_, SIGKILL), waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }
  /// Until the child has called ready() or has gone.
  void wait_ready() const {
    char byte;
    EXPECT_EQ(read(ready_.get(), &byte, 1), 1);
  }
  static void ready() { EXPECT_EQ(write(ready_fd, "", 1), 1); }
  int status() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    return status;
  }
  void wait_state(char state) const {
    while (ProcFs().stat(pid_)->state != state) std::this_thread::yield();
  }

 private:
  static inline int ready_fd = -1;
  UniqueFd ready_;
  pid_t pid_;
};

const SystemCall kGetPid{SYS_getpid, {}};

RemoteAnswer get_pid_of(pid_t pid, std::size_t times = 1) {
  return call_in_process(pid, std::vector<SystemCall>(times, kGetPid));
}

void expect_calls(const Child& child, int rounds = 20) {
  for (int i = 0; i < rounds; ++i) {
    const RemoteAnswer answer = get_pid_of(child.pid());
    ASSERT_EQ(answer.refusal, RemoteRefusal::none) << answer.why;
    ASSERT_EQ(answer.results, std::vector<long>{child.pid()});
  }
}

double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void on_signal(int) {}

TEST(RemoteCalls, AThreadThatComputes) {
  Child child([] {
    volatile std::uint64_t sum = 0;
    Child::ready();
    for (std::uint64_t i = 0;; ++i) sum = sum + i;
    return 0;
  });
  child.wait_ready();
  expect_calls(child);
}

TEST(RemoteCalls, MoreCallsThanOneStopMakes) {
  Child child([] { return pause(); });
  const RemoteAnswer answer = get_pid_of(child.pid(), 100);
  EXPECT_EQ(answer.results, std::vector<long>(100, child.pid())) << answer.why;
}

TEST(RemoteCalls, ArgumentsArriveAndErrorsComeBack) {
  Child child([] { return pause(); });
  const SystemCall calls[] = {{SYS_close, {12345}}, {SYS_mmap, {0, 4096, 3, 0x22, ~0ULL, 0}}};
  const RemoteAnswer answer = call_in_process(child.pid(), calls);
  ASSERT_EQ(answer.results.size(), 2u) << answer.why;
  EXPECT_EQ(answer.results[0], -EBADF);
  EXPECT_GT(answer.results[1], 4096);
}

// Each waits as a whole for something, and must not see that it was stopped.
TEST(RemoteCalls, WaitsGoOn) {
  const std::function<int()> waits[] = {
      [] {  // epoll, which the kernel does not restart by itself
        int ends[2];
        epoll_event event{};
        const int epoll = epoll_create1(0);
        if (pipe(ends) || epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event)) return 1;
        Child::ready();
        return epoll_wait(epoll, &event, 1, -1) == -1 && errno == EINTR ? 2 : 3;
      },
      [] {
        sigset_t none;
        sigemptyset(&none);
        Child::ready();
        pselect(0, nullptr, nullptr, nullptr, nullptr, &none);
        return 2;
      },
      [] {
        int ends[2];
        char byte;
        if (pipe(ends)) return 1;
        Child::ready();
        return static_cast<int>(read(ends[0], &byte, 1)) + 3;
      },
      [] {
        sigset_t usr2;
        sigemptyset(&usr2);
        sigaddset(&usr2, SIGUSR2);
        sigprocmask(SIG_BLOCK, &usr2, nullptr);
        Child::ready();
        sigwaitinfo(&usr2, nullptr);
        return 2;
      },
      [] {
        int word = 0;
        Child::ready();
        syscall(SYS_futex, &word, 0, 0, nullptr, nullptr, 0);
        return 2;
      },
  };
  for (const auto& wait : waits) {
    Child child(wait);
    child.wait_ready();
    child.wait_state('S');
    expect_calls(child);
    child.wait_state('S');
    EXPECT_EQ(waitpid(child.pid(), nullptr, WNOHANG), 0);
  }
}

TEST(RemoteCalls, ASleepEndsInTime) {
  if (kInstrumented) GTEST_SKIP() << "ThreadSanitizer makes system calls of its own in the child";
  constexpr double kSleep = 1.5;
  Child child([] {
    const double begin = now();
    timespec left{}, time{1, 500'000'000};
    Child::ready();
    if (nanosleep(&time, &left)) return 1;
    return now() - begin < kSleep ? 2 : 0;
  });
  child.wait_ready();
  const double begin = now();
  expect_calls(child, 50);
  EXPECT_EQ(child.status(), 0);
  EXPECT_GE(now() - begin, kSleep - 0.2);
}

// A handler that came while the thread stood still ends its wait with EINTR, as it would have without us.
TEST(RemoteCalls, ASignalStillInterrupts) {
  Child child([] {
    struct sigaction action {};
    action.sa_handler = on_signal;
    sigaction(SIGUSR1, &action, nullptr);
    epoll_event event{};
    const int epoll = epoll_create1(0);
    Child::ready();
    return epoll_wait(epoll, &event, 1, -1) == -1 && errno == EINTR ? 0 : 1;
  });
  child.wait_ready();
  child.wait_state('S');
  expect_calls(child, 5);
  kill(child.pid(), SIGUSR1);
  EXPECT_EQ(child.status(), 0);
}

TEST(RemoteCalls, NoSignalIsLost) {
  static constexpr int kSignals = 2000;
  static std::atomic<int> seen{0};
  Child child([] {
    struct sigaction action {};
    action.sa_handler = [](int) { ++seen; };
    sigfillset(&action.sa_mask);
    sigaction(SIGRTMIN, &action, nullptr);
    action.sa_handler = [](int) { _exit(seen == kSignals ? 0 : 1); };
    sigaction(SIGRTMAX, &action, nullptr);
    Child::ready();
    while (true) {
      timespec moment{0, 1'000'000};
      nanosleep(&moment, nullptr);
    }
    return 1;
  });
  child.wait_ready();
  std::thread sender([&] {
    for (int i = 0; i < kSignals;) {
      if (sigqueue(child.pid(), SIGRTMIN, {}) == 0)
        ++i;
      else
        std::this_thread::yield();  // the queue is full
    }
  });
  expect_calls(child, 100);
  sender.join();
  kill(child.pid(), SIGRTMAX);  // comes last
  EXPECT_EQ(child.status(), 0);
}

TEST(RemoteCalls, AStoppedProcessStaysStopped) {
  Child child([] {
    raise(SIGSTOP);
    return 7;
  });
  int status = 0;
  waitpid(child.pid(), &status, WUNTRACED);
  ASSERT_TRUE(WIFSTOPPED(status));
  expect_calls(child, 5);
  child.wait_state('T');
  kill(child.pid(), SIGCONT);
  EXPECT_EQ(WEXITSTATUS(child.status()), 7);
}

TEST(RemoteCalls, RefusesWithALine) {
  EXPECT_EQ(get_pid_of(-1).refusal, RemoteRefusal::gone);
  EXPECT_EQ(get_pid_of(1 << 30).refusal, RemoteRefusal::gone);
  Child dead([] { return 0; });
  dead.wait_state('Z');
  EXPECT_EQ(get_pid_of(dead.pid()).refusal, RemoteRefusal::zombie);
  EXPECT_EQ(get_pid_of(2).refusal, ProcFs().stat(2) ? RemoteRefusal::kernel_thread : RemoteRefusal::gone);

  std::atomic<pid_t> tid{0};
  std::atomic<bool> end{false};
  std::thread thread([&] {
    tid = gettid();
    while (!end) std::this_thread::yield();
  });
  while (!tid) std::this_thread::yield();
  const RemoteAnswer answer = get_pid_of(tid);
  end = true;
  thread.join();
  EXPECT_EQ(answer.refusal, RemoteRefusal::thread);
  EXPECT_NE(answer.why.find(std::to_string(getpid())), std::string::npos) << answer.why;
}

TEST(RemoteCalls, ATracedProcessIsLeftToItsDebugger) {
  Child child([] { return pause(); });
  ASSERT_EQ(ptrace(PTRACE_SEIZE, child.pid(), nullptr, nullptr), 0);
  const RemoteAnswer answer = get_pid_of(child.pid());
  EXPECT_EQ(answer.refusal, RemoteRefusal::traced);
  EXPECT_FALSE(answer.why.empty());
}

TEST(RemoteCalls, AWriteThatCouldBeCutShortIsLeftAlone) {
  if (kInstrumented) GTEST_SKIP() << "ThreadSanitizer makes system calls of its own in the child";
  Child child([] {
    int ends[2];
    static char much[1 << 20];
    if (pipe(ends)) return 1;
    Child::ready();
    return write(ends[1], much, sizeof much) == sizeof much ? 0 : 1;
  });
  child.wait_ready();
  child.wait_state('S');
  EXPECT_EQ(call_in_process(child.pid(), {&kGetPid, 1}, 0.5).refusal, RemoteRefusal::busy);
}

// Every call but those that the child makes from now on kills it.
void filter_calls() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pause, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  sock_fprog program{5, filter};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

TEST(RemoteCalls, AFilteredProcessMakesThemOrRefuses) {
  if (kInstrumented) GTEST_SKIP() << "ThreadSanitizer makes system calls of its own in the child";
#if defined(SYS_pause)
  for (const bool root : {true, false}) {
    if (root && geteuid() != 0) continue;
    Child child([&] {
      if (!root && geteuid() == 0 && setresuid(65534, 65534, 65534)) return 1;
      prctl(PR_SET_DUMPABLE, 1);
      filter_calls();
      Child::ready();
      while (true) syscall(SYS_pause);
    });
    child.wait_ready();
    child.wait_state('S');
    if (root) {
      expect_calls(child, 3);
    } else if (geteuid() == 0) {
      Child other([&] {
        if (setresuid(65534, 65534, 65534)) return 1;
        prctl(PR_SET_DUMPABLE, 1);
        return get_pid_of(child.pid()).refusal == RemoteRefusal::filtered ? 0 : 2;
      });
      EXPECT_EQ(other.status(), 0);
    } else {
      EXPECT_EQ(get_pid_of(child.pid()).refusal, RemoteRefusal::filtered);
    }
    child.wait_state('S');
  }
#else
  GTEST_SKIP() << "no pause(2)";
#endif
}

TEST(RemoteCalls, OneOfManyThreads) {
  Child child([] {
    for (int i = 0; i < 4; ++i)
      std::thread([i] {
        std::uint64_t count = 0;
        while (true) {
          if (i % 2)
            std::this_thread::sleep_for(std::chrono::microseconds(100));
          else
            count = count + 1;
        }
      }).detach();
    Child::ready();
    return static_cast<int>(syscall(SYS_exit, 0));  // the leader goes, its threads stay
  });
  child.wait_ready();
  child.wait_state('Z');
  expect_calls(child);
}

TEST(RemoteCalls, AProcessThatEndsMeanwhile) {
  for (int i = 0; i < 20; ++i) {
    Child child([] {
      Child::ready();
      return 5;
    });
    child.wait_ready();
    const RemoteAnswer answer = get_pid_of(child.pid(), 40);
    EXPECT_TRUE(answer.refusal == RemoteRefusal::none || answer.refusal == RemoteRefusal::gone ||
                answer.refusal == RemoteRefusal::zombie)
        << answer.why;
    EXPECT_EQ(WEXITSTATUS(child.status()), 5);
  }
}

}  // namespace
}  // namespace samepage
