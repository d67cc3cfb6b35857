#include "new_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "units.hpp"

namespace reco {

namespace {

/// What the signal handler removes; read there, so never changed while the handler is installed.
const char* unfinished_for_handler = nullptr;

void remove_and_die(int signal) {
  ::unlink(unfinished_for_handler);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void handle_signals(void (*handler)(int)) {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, handler);
}

[[noreturn]] void fail(const std::string& path) {
  throw UsageError("cannot write " + path + ": " + std::strerror(errno));
}

}  // namespace

NewFile::NewFile(std::string path)
    : path_(std::move(path)), unfinished_(path_ + ".unfinished-" + std::to_string(::getpid())) {
  std::FILE* file = std::fopen(unfinished_.c_str(), "wx");
  if (!file) fail(path_);
  std::fclose(file);
  unfinished_for_handler = unfinished_.c_str();
  handle_signals(remove_and_die);
}

NewFile::~NewFile() {
  handle_signals(SIG_DFL);
  if (!committed_) ::unlink(unfinished_.c_str());
}

void NewFile::write(std::string_view content) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(unfinished_.c_str(), "w"));
  if (!file || std::fwrite(content.data(), 1, content.size(), file.get()) != content.size() ||
      std::fflush(file.get()) != 0) {
    fail(path_);
  }
}

void NewFile::commit() {
  if (std::rename(unfinished_.c_str(), path_.c_str()) != 0) fail(path_);
  committed_ = true;
}

}  // namespace reco
