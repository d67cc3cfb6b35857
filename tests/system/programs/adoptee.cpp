// adoptee: threads that wait in every way there is, and would see it if somebody else's stop showed.
// Each line of input is answered by one line: each thread's name and how often it went round. At the end of
// the input it ends; status 1 and a line for each that saw something amiss.
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

std::mutex trouble_lock;
std::string troubles;

void expect(bool good, const char* what) {
  if (good) return;
  const int error = errno;
  const std::lock_guard guard(trouble_lock);
  troubles += std::string(what) + ": " + std::strerror(error) + "\n";
}

/// What is left where a signal that the process ignores meets a traced thread (docs/ksm.md): a few times in a
/// process's life. A stop that were not made good would interrupt far more often.
bool rarely_interrupted() {
  static std::atomic<int> interruptions{0};
  return errno == EINTR && ++interruptions <= 3;
}

/// The wait took at least this long.
void expect_waited(Clock::time_point begin, milliseconds time, const char* what) {
  errno = 0;
  expect(Clock::now() - begin >= time, what);
}

struct Worker {
  const char* name;
  std::function<void()> round;
  std::atomic<std::uint64_t> rounds{0};
};

constexpr milliseconds kLimit(5);

int epoll_on(int fd) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  if (fd >= 0) epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  return epoll;
}

void sleep_a_moment() {
  const timespec time{0, 1'000'000};
  expect(nanosleep(&time, nullptr) == 0, "nanosleep");
}

void limited_epoll() {
  static const int epoll = epoll_on(-1);
  epoll_event event;
  const auto begin = Clock::now();
  const int got = epoll_wait(epoll, &event, 1, kLimit.count());
  if (got == -1 && rarely_interrupted()) return;
  expect(got == 0, "epoll_wait with a limit");
  expect_waited(begin, kLimit, "epoll_wait came early");
}

void limited_poll() {
  const auto begin = Clock::now();
  expect(poll(nullptr, 0, kLimit.count()) == 0, "poll");
  expect_waited(begin, kLimit, "poll came early");
}

const int bell = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);

void endless_epoll() {
  static const int epoll = epoll_on(bell);
  epoll_event event;
  int got;
  do got = epoll_wait(epoll, &event, 1, -1);
  while (got == -1 && rarely_interrupted());
  expect(got == 1, "epoll_wait without a limit");
  std::uint64_t value = 0;
  expect(read(bell, &value, sizeof value) == sizeof value && value == 1, "read of an eventfd");
}

void ring() {
  const std::uint64_t one = 1;
  expect(write(bell, &one, sizeof one) == sizeof one, "write to an eventfd");
  sleep_a_moment();
}

struct Pipe {
  int ends[2];
  Pipe() { expect(pipe(ends) == 0, "pipe"); }
};
Pipe wide;
constexpr std::size_t kWords = 1 << 15;  // four times what a pipe holds

/// Never returns less than it was asked to write, unless something interrupts it.
void write_much() {
  static std::vector<std::uint64_t> words(kWords);
  static std::uint64_t next = 0;
  for (std::uint64_t& word : words) word = next++;
  const auto size = static_cast<ssize_t>(words.size() * sizeof words[0]);
  expect(write(wide.ends[1], words.data(), static_cast<std::size_t>(size)) == size, "a write was cut short");
}

void read_much() {
  static std::uint64_t expected = 0;
  static std::vector<char> bytes(kWords);
  static std::string rest;
  const ssize_t got = read(wide.ends[0], bytes.data(), bytes.size());
  expect(got > 0, "read of a pipe");
  if (got > 0) rest.append(bytes.data(), static_cast<std::size_t>(got));
  std::size_t at = 0;
  for (; at + 8 <= rest.size(); at += 8) {
    std::uint64_t word;
    std::memcpy(&word, &rest[at], 8);
    errno = 0;
    expect(word == expected++, "bytes were lost in a pipe");
  }
  rest.erase(0, at);
}

struct Socket {
  int ends[2];
  Socket() {
    expect(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    const timeval limit{0, 5000};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
};

/// How long it took is not asked: a socket's limit counts the kernel's ticks, of which one that came late
/// makes the wait shorter.
void limited_receive() {
  static const Socket socket;
  char byte;
  expect(recv(socket.ends[0], &byte, 1, 0) == -1 && errno == EAGAIN, "recv with a limit");
}

void limited_signal_wait() {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR2);
  const timespec limit{0, 5'000'000};
  expect(sigtimedwait(&one, nullptr, &limit) == -1 && (errno == EAGAIN || rarely_interrupted()),
         "sigtimedwait");
}

const int semaphore = semget(IPC_PRIVATE, 1, 0600);

void limited_semaphore() {
  sembuf take{0, -1, 0};
  const timespec limit{0, 5'000'000};
  expect(semtimedop(semaphore, &take, 1, &limit) == -1 && errno == EAGAIN, "semtimedop");
}

void wait_for_condition() {
  static std::mutex mutex;
  static std::condition_variable never;
  std::unique_lock lock(mutex);
  errno = 0;
  expect(never.wait_for(lock, kLimit, [] { return false; }) == false, "condition");
}

std::atomic<std::uint64_t> alarms{0};

/// The only thread that takes SIGALRM, which comes every few milliseconds.
void wait_for_alarm() {
  sigset_t all_but_alarm;
  sigfillset(&all_but_alarm);
  sigdelset(&all_but_alarm, SIGALRM);
  const std::uint64_t before = alarms;
  expect(sigsuspend(&all_but_alarm) == -1 && errno == EINTR, "sigsuspend");
  errno = 0;
  expect(alarms > before, "sigsuspend came without a signal");
}

/// Equal in every adoptee, so that they are merged; written to, so that they come apart.
void churn() {
  constexpr std::size_t kPages = 1024, kPageWords = 512;
  static std::vector<std::uint64_t> memory(kPages * kPageWords);
  static std::uint64_t round = 0;
  if (round == 0)
    for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = i / 7;
  for (std::size_t page = round % 3; page < kPages; page += 3) {
    std::uint64_t* words = &memory[page * kPageWords];
    bool right = true;
    for (std::size_t i = 0; i < kPageWords; ++i) right &= words[i] == (page * kPageWords + i) / 7;
    errno = 0;
    expect(right, "memory changed");
    if (page % 5 == round % 5) words[round % kPageWords] += 0;
  }
  ++round;
  std::this_thread::sleep_for(milliseconds(1));
}

void start_program() {
  char program[] = "/bin/true";
  char* arguments[] = {program, nullptr};
  pid_t child = 0;
  expect(posix_spawn(&child, program, nullptr, nullptr, arguments, environ) == 0, "posix_spawn");
  int status = 0;
  expect(waitpid(child, &status, 0) == child && status == 0, "waitpid");
  sleep_a_moment();
}

void block_alarm(int how) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGALRM);
  sigaddset(&signals, SIGUSR2);
  pthread_sigmask(how, &signals, nullptr);
}

std::atomic<bool> over{false};

Worker workers[] = {
    {"sleep", sleep_a_moment},
    {"limited_epoll", limited_epoll},
    {"limited_poll", limited_poll},
    {"endless_epoll", endless_epoll},
    {"ring", ring},
    {"write_much", write_much},
    {"read_much", read_much},
    {"limited_receive", limited_receive},
    {"limited_signal_wait", limited_signal_wait},
    {"limited_semaphore", limited_semaphore},
    {"condition", wait_for_condition},
    {"alarm", wait_for_alarm},
    {"churn", churn},
    {"start", start_program},
};

}  // namespace

int main() {
  block_alarm(SIG_BLOCK);
  struct sigaction action {};
  action.sa_handler = [](int) { ++alarms; };
  sigaction(SIGALRM, &action, nullptr);
  const itimerval every{{0, 3000}, {0, 3000}};
  setitimer(ITIMER_REAL, &every, nullptr);
  for (Worker& worker : workers)
    std::thread([&worker] {
      while (!over) {
        worker.round();
        ++worker.rounds;
      }
    }).detach();
  for (const Worker& worker : workers)
    while (worker.rounds < 2) sleep_a_moment();
  char byte;
  std::puts("ready");
  std::fflush(stdout);
  while (read(STDIN_FILENO, &byte, 1) == 1) {
    if (byte != '\n') continue;
    for (Worker& worker : workers)
      std::printf("%s=%llu ", worker.name, static_cast<unsigned long long>(worker.rounds));
    std::puts("");
    std::fflush(stdout);
  }
  over = true;
  const std::lock_guard guard(trouble_lock);
  std::fputs(troubles.c_str(), stdout);
  std::fflush(stdout);
  semctl(semaphore, 0, IPC_RMID);
  _exit(troubles.empty() ? 0 : 1);  // the threads are still at it
}
