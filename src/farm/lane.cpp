#include "farm/lane.hpp"

#include <sys/socket.h>

#include "linux/system_call.hpp"

namespace samepage::farm {

namespace {

void send(int fd, const Message& message) {
  must(uninterrupted([&] { return ::send(fd, &message, sizeof message, MSG_NOSIGNAL); }), "lane");
}

std::optional<Message> receive(int fd) {
  Message message;
  const ssize_t got = uninterrupted([&] { return recv(fd, &message, sizeof message, MSG_DONTWAIT); });
  return got == sizeof message ? std::optional(message) : std::nullopt;
}

}  // namespace

Lane::Lane() {
  int ends[2];
  must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  supervisor_ = UniqueFd(ends[0]);
  template_ = UniqueFd(ends[1]);
}

void Lane::tell_template(const Message& message) const {
  send(supervisor_.get(), message);
}
void Lane::tell_supervisor(const Message& message) const {
  send(template_.get(), message);
}
std::optional<Message> Lane::hear_template() const {
  return receive(supervisor_.get());
}
std::optional<Message> Lane::hear_supervisor() const {
  return receive(template_.get());
}

}  // namespace samepage::farm
