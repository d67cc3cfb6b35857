#include "group/store_join.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "linux/system_call.hpp"
#include "store/holder.h"

namespace samepage {
namespace {

constexpr int kAttempts = 100, kBetweenUs = 10'000;  // while one launcher ends and another begins
constexpr timeval kPatience{2, 0};                   // with a holder that does not answer
constexpr std::size_t kFilesMost = STORE_FILES + 1;

/// Goes before the descriptors.
struct Greeting {
  std::uint32_t version, files;
  HashSeeds seeds;
};

std::optional<ino_t> inode(const std::string& path) {
  struct stat status;
  return stat(path.c_str(), &status) == 0 ? std::optional(status.st_ino) : std::nullopt;
}

/// The cgroup that a process's memory is charged to: version 1's if it has the memory controller, else
/// version 2's.
std::string memory_cgroup(const std::string& process) {
  std::ifstream stream("/proc/" + process + "/cgroup");
  std::string line, found;
  while (std::getline(stream, line)) {
    const auto controllers = line.find(':'), path = line.find(':', controllers + 1);
    if (path == line.npos) continue;
    const std::string names = ',' + line.substr(controllers + 1, path - controllers - 1) + ',';
    if (names.find(",memory,") != names.npos) return line.substr(path + 1);
    if (names == ",,") found = line.substr(path + 1);
  }
  return found;
}

ucred other_end(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  must(getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size), "SO_PEERCRED");
  return peer;
}

/// Why the process at the other end is nobody to share with; nothing if it is.
std::optional<std::string> objection(int socket, const StoreJoin::Who& who) {
  const ucred peer = other_end(socket);
  if (peer.uid != geteuid()) return "it is another user's";
  const std::string process = std::to_string(peer.pid);
  for (const char* space : {"user", "pid"}) {
    const auto theirs = inode(fmt::format("/proc/{}/ns/{}", process, space));
    if (!theirs || theirs != inode(fmt::format("/proc/self/ns/{}", space)))
      return fmt::format("it is in another {} namespace, or has ended", space);
  }
  if (!who.across_cgroups && memory_cgroup(process) != memory_cgroup("self"))
    return "it is in another cgroup";
  return std::nullopt;
}

/// Hashed, since a socket's name is short and a cgroup's path is not. That it can be guessed does not matter.
std::string socket_name(const StoreJoin::Who& who) {
  const std::string key =
      fmt::format("{}:{}:{}:{}:{}:{}", STORE_HOLDER_VERSION, geteuid(),
                  inode("/proc/self/ns/user").value_or(0), inode("/proc/self/ns/pid").value_or(0),
                  who.across_cgroups ? "*" : "=" + memory_cgroup("self"), who.name);
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  return fmt::format("samepage-join-{:016x}{:016x}", hash.high64, hash.low64);
}

struct Address {
  sockaddr_un in{};
  socklen_t size;
  explicit Address(const std::string& name)
      : size(static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())) {
    in.sun_family = AF_UNIX;
    name.copy(in.sun_path + 1, sizeof in.sun_path - 1);  // the first byte is 0: the abstract namespace
  }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&in); }
};

UniqueFd new_socket() {
  return UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}

bool is_closed(const UniqueFd& socket) {
  pollfd polled{socket.get(), 0, 0};
  return poll(&polled, 1, 0) > 0 && (polled.revents & POLLHUP);
}

union Ancillary {
  cmsghdr align;
  char bytes[CMSG_SPACE(kFilesMost * sizeof(int))];
};

/// What a holder sends; no files if it is not that.
std::vector<UniqueFd> receive(int socket, Greeting& greeting) {
  std::vector<UniqueFd> files;
  iovec part{&greeting, sizeof greeting};
  Ancillary ancillary;
  msghdr message{};
  message.msg_iov = &part, message.msg_iovlen = 1;
  message.msg_control = ancillary.bytes, message.msg_controllen = sizeof ancillary.bytes;
  const ssize_t got = uninterrupted([&] { return recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); got >= 0 && one; one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; at + sizeof(int) <= one->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(one) + at, sizeof fd);
      files.emplace_back(fd);
    }
  }
  if (got != sizeof greeting || (message.msg_flags & MSG_CTRUNC) ||
      greeting.version != STORE_HOLDER_VERSION || greeting.files != files.size())
    files.clear();
  return files;
}

}  // namespace

bool StoreJoin::listen_here() {
  UniqueFd socket = new_socket();
  const Address address(address_);
  if (!socket || bind(socket.get(), address.get(), address.size) != 0 || listen(socket.get(), SOMAXCONN) != 0)
    return false;
  listener_ = std::move(socket);
  return true;
}

/// Connects to who listens, and takes what it sends unless we have files.
StoreJoin::Answer StoreJoin::ask(std::string& why_not) {
  UniqueFd socket = new_socket();
  const Address address(address_);
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  if (uninterrupted([&] { return connect(socket.get(), address.get(), address.size); }) != 0) {
    why_not = error_text(errno);
    return errno == ECONNREFUSED ? Answer::nobody : Answer::no;
  }
  if (auto why = objection(socket.get(), who_)) {
    why_not = std::move(*why);
    // A process that ends listens a moment longer; of its cgroups the kernel then says "/".
    return other_end(socket.get()).uid == geteuid() ? Answer::nobody : Answer::no;
  }
  if (!has_files_) {
    Greeting greeting{};
    auto files = StoreFiles::adopt(receive(socket.get(), greeting));
    if (!files) {
      why_not = "who holds it does not answer";
      return is_closed(socket) ? Answer::nobody : Answer::no;
    }
    files_ = std::move(*files);
    seeds_ = greeting.seeds;
    has_files_ = true;
  }
  holder_ = std::move(socket);
  return Answer::good;
}

bool StoreJoin::attach(std::string& why_not) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (listen_here()) return true;
    const Answer answer = ask(why_not);
    if (answer != Answer::nobody) return answer == Answer::good;
    usleep(kBetweenUs);
  }
  return false;
}

std::optional<StoreJoin> StoreJoin::join(const Who& who, std::string& why_not) {
  StoreJoin joined(who, socket_name(who));
  if (!joined.attach(why_not)) return std::nullopt;
  if (joined.has_files_) return joined;
  auto files = StoreFiles::make(why_not);
  if (!files) return std::nullopt;
  joined.files_ = std::move(*files);
  joined.seeds_ = HashSeeds::random();
  joined.has_files_ = joined.found_empty_ = true;
  return joined;
}

void StoreJoin::serve(int peer) const {
  const std::vector<int> numbers = files_.descriptors();
  const Greeting greeting{STORE_HOLDER_VERSION, static_cast<std::uint32_t>(numbers.size()), seeds_};
  iovec part{const_cast<Greeting*>(&greeting), sizeof greeting};
  Ancillary ancillary{};
  msghdr message{};
  message.msg_iov = &part, message.msg_iovlen = 1;
  message.msg_control = ancillary.bytes, message.msg_controllen = CMSG_SPACE(numbers.size() * sizeof(int));
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET, rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(numbers.size() * sizeof(int));
  std::memcpy(CMSG_DATA(rights), numbers.data(), numbers.size() * sizeof(int));
  (void)!sendmsg(peer, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

std::vector<int> StoreJoin::descriptors() const {
  std::vector<int> numbers;
  for (const UniqueFd* one : {&listener_, &holder_})
    if (*one) numbers.push_back(one->get());
  std::transform(peers_.begin(), peers_.end(), std::back_inserter(numbers),
                 [](const auto& peer) { return peer.get(); });
  return numbers;
}

void StoreJoin::hear() {
  const auto is_heard = [](const UniqueFd& socket) {
    pollfd polled{socket.get(), POLLIN, 0};
    return socket && poll(&polled, 1, 0) > 0;
  };
  std::erase_if(peers_, is_heard);  // they say nothing, they end
  while (is_heard(listener_)) {
    UniqueFd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) {
      // Nobody is served without a descriptor; to go on listening would wake us for them for ever.
      if (errno == EMFILE || errno == ENFILE) listener_.reset();
      break;
    }
    if (objection(peer.get(), who_)) continue;
    serve(peer.get());
    peers_.push_back(std::move(peer));
  }
  char none[sizeof(Greeting)];
  if (!is_heard(holder_)) return;
  if (recv(holder_.get(), none, sizeof none, MSG_DONTWAIT) > 0) return;  // what it sends to all who come
  holder_.reset();
  std::string why_not;
  attach(why_not);  // or the name is another's now, and we keep what we have
}

}  // namespace samepage
