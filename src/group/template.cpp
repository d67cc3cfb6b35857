#include "group/template.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <system_error>

#include "linux/system_call.hpp"

namespace samepage {
namespace {

/// MAX_ARG_STRLEN of the kernel, less what else stands in SAMEPAGE_CONTROL.
constexpr std::size_t kMostPadding = 31 * 4096;

std::size_t size_of(const std::vector<std::string>& strings) {
  return std::accumulate(strings.begin(), strings.end(), std::size_t{0},
                         [](std::size_t sum, const std::string& string) { return sum + string.size() + 1; });
}

std::size_t size_of(const Start& start) {
  return size_of(start.argv) + size_of(start.environment);
}

/// A memory file with the copy's strings as they shall lie on its stack.
UniqueFd strings_file(const Start& start) {
  UniqueFd file(must(memfd_create("samepage-start", MFD_CLOEXEC), "memfd_create"));
  std::string bytes;
  for (const auto* strings : {&start.argv, &start.environment})
    for (const std::string& string : *strings) bytes.append(string.c_str(), string.size() + 1);
  if (pwrite(file.get(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw std::system_error(errno, std::generic_category(), "memory file");
  return file;
}

/// From us, by an exec: the copies have it in common however they are started.
bool is_inherited(int number, const std::string& target) {
  const int flags = fcntl(number, F_GETFD);
  std::error_code gone;
  return flags >= 0 && !(flags & FD_CLOEXEC) &&
         std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", number), gone) == target;
}

}  // namespace

std::string control_for_plain_start(bool ksm) {
  return fmt::format(SAMEPAGE_CONTROL "={{pid}}:-1:{}:", static_cast<int>(ksm));
}

void append_preload(std::vector<std::string>& environment, const std::string& library) {
  std::string entry = "LD_PRELOAD=" + library;
  const auto found = std::find_if(environment.begin(), environment.end(),
                                  [](const std::string& text) { return text.starts_with("LD_PRELOAD="); });
  if (found != environment.end()) {
    if (found->size() > std::strlen("LD_PRELOAD=")) entry = *found + ':' + library;
    environment.erase(found);
  }
  environment.push_back(entry);
}

Template::Template(const std::vector<Start>& starts, const std::string& library, const ExecSettings& settings,
                   bool ksm) {
  std::size_t bytes = 0, arguments = 0, variables = 0;
  for (const Start& start : starts) {
    bytes = std::max(bytes, size_of(start));
    arguments = std::max(arguments, start.argv.size());
    variables = std::max(variables, start.environment.size());
  }
  Start own = starts.front();
  own.argv.resize(arguments);
  // It is no copy, and neither is what it forks until that has its own environment.
  std::erase_if(own.environment,
                [](const std::string& entry) { return entry.starts_with("SAMEPAGE_RANK="); });
  append_preload(own.environment, library);

  int ends[2];
  must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  socket_ = UniqueFd(ends[0]);
  const UniqueFd its_end(ends[1]);
  own.environment.push_back(
      fmt::format(SAMEPAGE_CONTROL "={{pid}}:{}:{}:", its_end.get(), static_cast<int>(ksm)));
  while (own.environment.size() < variables)
    own.environment.insert(own.environment.begin(), "SAMEPAGE_ROOM=");
  bytes += std::strlen("{pid}");  // which a shorter number may replace
  for (std::size_t size = size_of(own); size < bytes; size = size_of(own)) {
    const std::size_t padding = std::min(bytes - size, kMostPadding);
    if (bytes - size > kMostPadding)
      own.environment.insert(own.environment.begin(), "SAMEPAGE_ROOM=" + std::string(padding, 'X'));
    else
      own.environment.back().append(padding, 'X');
  }
  environment_size_ = own.environment.size();
  ExecSettings with_socket = settings;
  with_socket.control = its_end.get();
  pid_ = start_plainly(own, with_socket);
}

std::optional<std::string> fork_obstacle(std::size_t threads, bool timers,
                                         const std::vector<std::string>& files) {
  if (threads != 1) return "it has more than one thread before main";
  if (timers) return "it has timers before main";
  for (const std::string& file : files)
    if (file.starts_with("anon_inode:")) return fmt::format("it has {} open before main", file.substr(11));
  return std::nullopt;
}

std::optional<std::string> Template::obstacle(const ProcFs& proc) const {
  samepage_hello hello;
  if (uninterrupted([&] { return recv(fd(), &hello, sizeof hello, MSG_DONTWAIT); }) != sizeof hello)
    return "it ended before main";
  if (hello.environment != environment_size_) return "a library changed its environment before main";
  const auto threads = proc.threads(pid_);
  const auto files = proc.open_files(pid_);
  if (!threads || !files) return "it cannot be looked into";
  const auto timers = proc.has_timers(pid_);
  std::vector<std::string> its_own;
  for (const auto& [number, target] : *files)
    if (!is_inherited(number, target)) its_own.push_back(target);
  return fork_obstacle(threads->size(), hello.interval_timer || (timers && *timers), its_own);
}

bool Template::fork(unsigned rank, const Start& start) {
  const UniqueFd strings = strings_file(start);
  samepage_fork request{};
  request.rank = rank;
  request.argc = static_cast<std::uint32_t>(start.argv.size());
  request.envc = static_cast<std::uint32_t>(start.environment.size());
  request.size = static_cast<std::uint32_t>(size_of(start));
  start.name.copy(request.name, sizeof request.name - 1);

  const int fds[4] = {start.streams[0], start.streams[1], start.streams[2], strings.get()};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof fds)] = {};
  iovec part{&request, sizeof request};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fds);
  std::memcpy(CMSG_DATA(header), fds, sizeof fds);
  return uninterrupted([&] { return sendmsg(fd(), &message, MSG_NOSIGNAL); }) == sizeof request;
}

std::optional<samepage_forked> Template::answer() const {
  samepage_forked forked;
  if (uninterrupted([&] { return recv(fd(), &forked, sizeof forked, MSG_DONTWAIT); }) != sizeof forked)
    return std::nullopt;
  return forked;
}

}  // namespace samepage
