#include "watchdog/local_socket.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "linux/system_call.hpp"
#include "linux/usage_error.hpp"

namespace samepage {
namespace {

constexpr std::size_t kClients = 8;
constexpr double kPatience = 1;

std::optional<uid_t> user_of(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer.uid;
}

}  // namespace

LocalSocket::LocalSocket(std::filesystem::path path, std::size_t longest,
                         std::function<bool(const std::string&)> complete)
    : path_(std::move(path)), longest_(longest), complete_(std::move(complete)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.native().size() >= sizeof address.sun_path)
    throw UsageError(fmt::format("{}: the name is too long for a socket", path_.native()));
  std::memcpy(address.sun_path, path_.c_str(), path_.native().size());
  ::unlink(path_.c_str());
  listening_ = UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listening_ || ::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::chmod(path_.c_str(), 0666) != 0 || ::listen(listening_.get(), 16) != 0)
    throw UsageError(fmt::format("cannot listen on {}: {}", path_.native(), error_text(errno)), 1);
}

LocalSocket::~LocalSocket() {
  ::unlink(path_.c_str());
}

std::vector<int> LocalSocket::fds() const {
  std::vector<int> all = {listening_.get()};
  for (const Client& client : clients_) all.push_back(client.fd.get());
  return all;
}

void LocalSocket::accept_clients(double seconds) {
  while (true) {
    UniqueFd fd(uninterrupted(
        [&] { return ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); }));
    if (!fd) return;
    if (clients_.size() < kClients) clients_.push_back({std::move(fd), seconds, {}});
  }
}

LocalSocket::Came LocalSocket::read(Client& client) const {
  char buffer[1024];
  while (true) {
    const ssize_t size =
        uninterrupted([&] { return ::recv(client.fd.get(), buffer, sizeof buffer, MSG_DONTWAIT); });
    if (size < 0) return errno == EAGAIN ? Came::part : Came::nothing;
    if (size == 0) return Came::nothing;
    client.text.append(buffer, static_cast<std::size_t>(size));
    if (complete_(client.text) || client.text.size() > longest_) return Came::all;
  }
}

std::vector<LocalRequest> LocalSocket::take(double seconds) {
  accept_clients(seconds);
  std::vector<LocalRequest> requests;
  for (auto client = clients_.begin(); client != clients_.end();) {
    const Came came = read(*client);
    if (came == Came::all)
      if (const auto user = user_of(client->fd.get()))
        requests.push_back({std::move(client->text), *user, std::move(client->fd)});
    const bool stays = came == Came::part && seconds - client->since < kPatience;
    client = stays ? std::next(client) : clients_.erase(client);
  }
  return requests;
}

void answer(LocalRequest request, const std::string& text) {
  ::send(request.fd.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace samepage
