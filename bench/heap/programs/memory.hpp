// What this process takes, read without allocating.
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace samepage {

/// A field of /proc/self/status in kB, for example "VmHWM:"; -1 when the kernel does not tell.
/// Unlike getrusage's ru_maxrss this does not include what the process was before its exec.
inline long status_kb(const char* field) {
  char text[8192];
  const int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return -1;
  text[length] = '\0';
  const char* at = std::strstr(text, field);
  return at ? std::strtol(at + std::strlen(field), nullptr, 10) : -1;
}

}  // namespace samepage
