#include "workers.hpp"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>

#include "units.hpp"

namespace reco {

namespace {

constexpr int kDone = 0, kFailed = 1;  // exit status; the output file holds the answer or the message

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

struct Worker {
  pid_t pid;
  std::unique_ptr<std::FILE, Close> output;  // has no name, so nothing is left behind
};

[[noreturn]] void be_worker(int index, const std::function<std::string(int)>& work, std::FILE* output,
                            pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kFailed);
  int status = kDone;
  std::string answer;
  try {
    answer = work(index);
  } catch (const std::exception& error) {
    answer = error.what();
    status = kFailed;
  }
  const bool written = std::fwrite(answer.data(), 1, answer.size(), output) == answer.size();
  std::fflush(stdout);
  ::_exit(std::fflush(output) == 0 && written ? status : kFailed);
}

Worker start(int index, const std::function<std::string(int)>& work) {
  Worker worker{0, std::unique_ptr<std::FILE, Close>(std::tmpfile())};
  if (!worker.output) throw std::runtime_error(std::string("no temporary file: ") + std::strerror(errno));
  std::fflush(stdout);
  const pid_t parent = ::getpid();
  worker.pid = ::fork();
  if (worker.pid < 0) throw std::runtime_error(std::string("cannot fork: ") + std::strerror(errno));
  if (worker.pid == 0) be_worker(index, work, worker.output.get(), parent);
  return worker;
}

std::string content(std::FILE* file) {
  std::rewind(file);
  std::string text;
  char block[1 << 16];
  while (const std::size_t count = std::fread(block, 1, sizeof block, file)) text.append(block, count);
  return text;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

std::vector<std::string> run_workers(int count, const std::function<std::string(int)>& work) {
  std::vector<Worker> workers;
  for (int i = 0; i < count; ++i) workers.push_back(start(i, work));
  std::vector<int> statuses;
  for (const Worker& worker : workers) statuses.push_back(wait_for(worker.pid));

  std::vector<std::string> answers;
  for (int i = 0; i < count; ++i) {
    const std::string answer = content(workers[i].output.get());
    if (WIFSIGNALED(statuses[i])) {
      throw std::runtime_error("worker " + std::to_string(i) + " was killed by signal " +
                               std::to_string(WTERMSIG(statuses[i])));
    }
    if (WEXITSTATUS(statuses[i]) != kDone) throw UsageError(answer);
    answers.push_back(answer);
  }
  return answers;
}

}  // namespace reco
