/* Workers that wait inside libc's streams, one line at a time: whether the store sees that they wait, and
 * whether the streams behave as without it. Under the preloaded heap, SAMEPAGE_STORE_MIN=1M.
 *
 *   store_streams READER   a worker answers the lines of standard input, which it reads with READER
 *   store_streams PART     prints a line for what is not as without the store, while this process works for
 * it store_streams prompt   asks for a line, without a newline at the end
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <samepage/samepage.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#undef getc_unlocked

#pragma weak samepage_seal

extern "C" char* __fgets_chk(char* to, std::size_t room, int size, FILE* stream);
extern "C" std::size_t __fread_chk(void* to, std::size_t room, std::size_t size, std::size_t count,
                                   FILE* stream);

namespace {

constexpr std::size_t SIZE = 8 << 20;
constexpr int LINE = 8;  // characters of a line, with its newline
constexpr double SOON_S = 0.5, LATE_S = 5;

using Reader = std::function<bool(std::string&)>;

Reader of_characters(int (*next)(FILE*)) {
  return [next](std::string& line) {
    line.clear();
    int c = 0;
    while ((c = next(stdin)) != EOF && c != '\n') line += static_cast<char>(c);
    return c != EOF;
  };
}

bool without_newline(std::string& line, const char* text) {
  if (text == nullptr) return false;
  line = text;
  line.pop_back();
  return true;
}

std::map<std::string, Reader> readers() {
  static char text[LINE + 1];
  return {
      {"fgets", [](auto& line) { return without_newline(line, std::fgets(text, sizeof text, stdin)); }},
      {"fgets_chk",
       [](auto& line) { return without_newline(line, __fgets_chk(text, sizeof text, sizeof text, stdin)); }},
      {"fgets_unlocked",
       [](auto& line) { return without_newline(line, fgets_unlocked(text, sizeof text, stdin)); }},
      {"fread",
       [](auto& line) {
         return without_newline(line, std::fread(text, LINE, 1, stdin) == 1 ? text : nullptr);
       }},
      {"fread_chk",
       [](auto& line) {
         return without_newline(line, __fread_chk(text, sizeof text, LINE, 1, stdin) == 1 ? text : nullptr);
       }},
      {"fread_unlocked",
       [](auto& line) {
         return without_newline(line, fread_unlocked(text, LINE, 1, stdin) == 1 ? text : nullptr);
       }},
      {"getline",
       [](auto& line) {
         static char* whole = nullptr;
         static std::size_t room = 0;
         return without_newline(line, getline(&whole, &room, stdin) > 0 ? whole : nullptr);
       }},
      {"getc", of_characters([](FILE* stream) { return std::getc(stream); })},
      {"fgetc", of_characters([](FILE* stream) { return std::fgetc(stream); })},
      {"getchar", of_characters([](FILE*) { return std::getchar(); })},
      {"getc_unlocked", of_characters([](FILE* stream) { return getc_unlocked(stream); })},
      {"getc_unlocked compiled in", of_characters([](FILE* stream) { return __getc_unlocked_body(stream); })},
      {"cin", [](auto& line) { return static_cast<bool>(std::getline(std::cin, line)); }},
  };
}

std::vector<char> constants() {
  std::vector<char> made(SIZE);
  for (std::size_t i = 0; i < SIZE; ++i) made[i] = static_cast<char>(i * 2654435761U >> 13);
  return made;
}

int answer_lines(const Reader& read) {
  const pid_t worker = fork();
  if (worker == 0) {
    std::cout << getpid() << std::endl;
    for (std::string line; read(line);) std::cout << "got " << line << std::endl;
    _exit(0);
  }
  int status = 0;
  return waitpid(worker, &status, 0) == worker ? status : 1;
}

double now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void check(bool good, const char* what) {
  if (!good) std::printf("%s: %s\n", what, std::strerror(errno));
}

/* Past libc: a child that waits for itself says that it lives on, and its parent's work is over soon. */
void nap() {
  const timespec length = {0, static_cast<long>(SOON_S * 1e9)};
  syscall(SYS_nanosleep, &length, nullptr);
}

void soon(const std::function<bool()>& act) {
  if (fork() != 0) return;
  nap();
  _exit(act() ? 0 : 1);
}

void writes_soon(int to, const char* text) {
  soon([=] { return write(to, text, std::strlen(text)) > 0; });
}

struct Pair {
  int ends[2];
  FILE* stream;
  Pair() : ends{}, stream(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 ? fdopen(ends[0], "r+") : nullptr) {}
  ~Pair() {
    std::fclose(stream);
    close(ends[1]);
  }
  Pair(const Pair&) = delete;
};

/* What was put back with ungetc lies before the rest of what was read. */
void put_back() {
  char text[64];
  {
    Pair before;
    check(write(before.ends[1], "abc\n", 4) == 4 && std::getc(before.stream) == 'a' &&
              std::ungetc('x', before.stream) == 'x',
          "ungetc");
    check(std::fgets(text, sizeof text, before.stream) != nullptr && std::strcmp(text, "xbc\n") == 0,
          "what was put back");
  }
  Pair behind;
  check(write(behind.ends[1], "ab", 2) == 2 && std::getc(behind.stream) == 'a' &&
            std::ungetc('x', behind.stream) == 'x' && std::getc(behind.stream) == 'x',
        "ungetc, and getc");
  const double began = now();
  check(std::getc(behind.stream) == 'b' && now() - began < LATE_S, "what lies behind it");
}

/* What the stream holds goes out before it reads. */
void asks() {
  char text[64];
  Pair pair;
  if (fork() == 0) {
    if (syscall(SYS_read, pair.ends[1], text, sizeof text) <= 0) _exit(1);  // past libc, as above
    _exit(write(pair.ends[1], "answer\n", 7) == 7 ? 0 : 1);
  }
  const double began = now();
  std::fputs("question\n", pair.stream);
  check(std::fgets(text, sizeof text, pair.stream) != nullptr && std::strcmp(text, "answer\n") == 0 &&
            now() - began < LATE_S,
        "an answer");
}

/* The end of a stream stays one, and nobody waits behind it. */
void ends() {
  int pipes[2];
  char text[64];
  check(pipe(pipes) == 0, "pipe");
  FILE* stream = fdopen(pipes[0], "r");
  close(pipes[1]);
  check(std::getc(stream) == EOF && std::feof(stream) != 0, "the end");
  check(pipe(pipes) == 0 && dup2(pipes[0], fileno(stream)) >= 0, "another pipe in its place");
  const double began = now();
  check(
      std::fgets(text, sizeof text, stream) == nullptr && std::ferror(stream) == 0 && now() - began < LATE_S,
      "behind the end");
  std::fclose(stream);
}

void waits() {
  Pair pair;
  char text[64];
  const double began = now();
  writes_soon(pair.ends[1], "late\n");
  errno = 0;
  check(std::fgets(text, sizeof text, pair.stream) != nullptr && std::strcmp(text, "late\n") == 0 &&
            errno == 0 && now() - began >= SOON_S,
        "a line that comes late");
  writes_soon(pair.ends[1], "abcdefgh");
  check(std::fread(text, 2, 4, pair.stream) == 4 && std::memcmp(text, "abcdefgh", 8) == 0,
        "fread that waits");
}

void nothing(int /*signal*/) {}

/* Of each kind: a signal without SA_RESTART ends the call as read(2)'s EINTR does, and the stream goes on
 * when the error is cleared. */
void signals() {
  char text[64];
  char* whole = nullptr;
  std::size_t room = 0;
  struct sigaction action {};
  action.sa_handler = nothing;
  sigaction(SIGUSR1, &action, nullptr);
  const std::map<std::string, std::function<bool(FILE*)>> calls = {
      {"fgets", [&](FILE* stream) { return std::fgets(text, sizeof text, stream) == nullptr; }},
      {"fread", [&](FILE* stream) { return std::fread(text, 1, 4, stream) == 0; }},
      {"getc", [&](FILE* stream) { return std::getc(stream) == EOF; }},
      {"getline", [&](FILE* stream) { return getline(&whole, &room, stream) == -1; }},
  };
  for (const auto& [name, call] : calls) {
    Pair pair;
    soon([] { return kill(getppid(), SIGUSR1) == 0; });
    const double began = now();
    errno = 0;
    const bool ended = call(pair.stream);
    check(ended && errno == EINTR && std::ferror(pair.stream) != 0 && std::feof(pair.stream) == 0 &&
              now() - began < LATE_S,
          ("a signal in " + name).c_str());
    std::clearerr(pair.stream);
    check(write(pair.ends[1], "on\n", 3) == 3 && std::fgets(text, sizeof text, pair.stream) != nullptr,
          "after a signal");
  }
  std::free(whole);
}

/* ---- several threads and one stream ---- */

struct Thread {
  pthread_t itself{};
  FILE* stream;
  std::string line;

  explicit Thread(FILE* of, void* (*body)(void*) = read_line) : stream(of) {
    pthread_create(&itself, nullptr, body, this);
  }
  Thread(const Thread&) = delete;

  bool ends_in_time() {
    timespec until{};
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += static_cast<long>(LATE_S);
    return pthread_timedjoin_np(itself, nullptr, &until) == 0;
  }
  static void* read_line(void* thread) {
    auto* self = static_cast<Thread*>(thread);
    char text[64];
    self->line = std::fgets(text, sizeof text, self->stream) != nullptr ? text : "nothing";
    return nullptr;
  }
};

struct Pipe {
  int ends[2];
  FILE* stream;
  Pipe() : ends{}, stream(pipe(ends) == 0 ? fdopen(ends[0], "r") : nullptr) {}
  void put(const char* text) const { check(write(ends[1], text, std::strlen(text)) > 0, "write"); }
};

/* One of them reads both lines; the other has its own from the buffer. */
void two_readers() {
  for (int round = 0; round < 5; ++round) {
    Pipe pipe;
    Thread first(pipe.stream);
    nap();
    Thread second(pipe.stream);
    nap();
    pipe.put("1\n2\n");
    if (!first.ends_in_time() || !second.ends_in_time())
      return check(false, "a line that another thread has read ahead");
    check(first.line != second.line && first.line.size() == 2 && second.line.size() == 2, "two lines");
  }
}

/* Who is cancelled leaves the stream to others. */
void cancelled() {
  Pipe pipe;
  Thread reader(pipe.stream);
  nap();
  pthread_cancel(reader.itself);
  if (!reader.ends_in_time()) return check(false, "pthread_cancel");
  Thread next(pipe.stream);
  pipe.put("next\n");
  check(next.ends_in_time() && next.line == "next\n", "after a thread that was cancelled");
}

sigjmp_buf out;

/* Who jumps out of a reader, and then ends. */
void jumped() {
  Pipe pipe;
  struct sigaction action {};
  action.sa_handler = [](int) { siglongjmp(out, 1); };
  sigaction(SIGUSR1, &action, nullptr);
  Thread reader(pipe.stream, [](void* thread) -> void* {
    if (sigsetjmp(out, 1) == 0) Thread::read_line(thread);
    pthread_exit(nullptr);
  });
  nap();
  pthread_kill(reader.itself, SIGUSR1);
  check(reader.ends_in_time(), "a jump out of a reader");
}

/* ---- */

pid_t lives_on() {
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();  // which the store does not see
  }
  return child;
}

/* What a sandbox forbids that does not know of the store. */
void confine() {
  std::array filter = {sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                       sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sched_yield, 0, 1),
                       sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                       sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  const sock_fprog program = {filter.size(), filter.data()};
  const bool confined = syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
  check(confined, "seccomp");
}

pid_t worker() {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) poll(nullptr, 0, 100);
}

void says_who_and_waits() {
  std::cout << getpid() << std::endl;
  std::string line;
  std::getline(std::cin, line);
}

/* Publishes all the same. */
void sandboxed() {
  confine();
  const pid_t child = worker();
  says_who_and_waits();
  kill(child, SIGKILL);
}

/* Of a family that has been looked at before. */
void sandboxed_worker() {
  check(samepage_seal != nullptr && samepage_seal() == SAMEPAGE_OK, "samepage_seal");
  const pid_t others[] = {worker(), worker()};
  const pid_t confined = fork();
  if (confined == 0) {
    confine();
    says_who_and_waits();
    _exit(0);
  }
  int status = 1;
  check(waitpid(confined, &status, 0) == confined && status == 0, "a worker that confines itself");
  for (const pid_t child : others) kill(child, SIGKILL);
}

void prompt() {
  char name[64];
  std::printf("name? ");
  std::printf("hello %s", std::fgets(name, sizeof name, stdin) != nullptr ? name : "nobody\n");
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<char> held = constants();
  const std::string what = argc == 2 ? argv[1] : "";
  const auto all = readers();
  const auto reader = all.find(what);
  if (reader != all.end()) return answer_lines(reader->second);
  const std::map<std::string, void (*)()> parts = {{"put_back", put_back},
                                                   {"asks", asks},
                                                   {"ends", ends},
                                                   {"waits", waits},
                                                   {"signals", signals},
                                                   {"prompt", prompt},
                                                   {"two_readers", two_readers},
                                                   {"jumped", jumped},
                                                   {"cancelled", cancelled},
                                                   {"sandboxed", sandboxed},
                                                   {"sandboxed_worker", sandboxed_worker}};
  const auto part = parts.find(what);
  if (part == parts.end()) return 2;
  const pid_t child = lives_on();
  part->second();
  kill(child, SIGKILL);
  return 0;
}
