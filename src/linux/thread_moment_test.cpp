#include "linux/thread_moment.hpp"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <string>

namespace samepage {
namespace {

/// As the kernel writes it: the number, six arguments, stack and program counter.
std::string call(long number, const char* arguments = "0x1 0x2 0x3 0x4 0x5 0x6") {
  return std::to_string(number) + " " + arguments + " 0x7ffc3aac0438 0x7f562cd662ad\n";
}

TEST(ThreadMoment, WaitsThatTheKernelRestarts) {
  for (const long number : {SYS_futex, SYS_ppoll, SYS_clock_nanosleep, SYS_wait4, SYS_rt_sigsuspend})
    EXPECT_EQ(moment_of_call(call(number)), ThreadMoment::restarts) << number;
}

TEST(ThreadMoment, NotInACall) {
  EXPECT_EQ(moment_of_call("running\n"), ThreadMoment::running);
  EXPECT_EQ(moment_of_call("-1 0x7ffc3aac0438 0x7f562cd662ad\n"), ThreadMoment::running);
}

#if defined(__x86_64__)
TEST(ThreadMoment, EpollWithALimitComesLate) {
  EXPECT_EQ(moment_of_call(call(SYS_epoll_wait, "0x5 0x7f00 0x80 0xffffffff 0x0 0x0")),
            ThreadMoment::restarts);
  EXPECT_EQ(moment_of_call(call(SYS_epoll_wait, "0x5 0x7f00 0x80 0x64 0x0 0x0")), ThreadMoment::late);
  EXPECT_EQ(moment_of_call(call(SYS_epoll_pwait2, "0x5 0x7f00 0x80 0x0 0x0 0x0")), ThreadMoment::restarts);
  EXPECT_EQ(moment_of_call(call(SYS_epoll_pwait2, "0x5 0x7f00 0x80 0x7ffc00 0x0 0x0")), ThreadMoment::late);
}

TEST(ThreadMoment, AReadThatWantsEveryByteIsLeftAlone) {
  EXPECT_EQ(moment_of_call(call(SYS_recvfrom, "0x5 0x7f00 0x80 0x0 0x0 0x0")), ThreadMoment::restarts);
  EXPECT_EQ(moment_of_call(call(SYS_recvfrom, "0x5 0x7f00 0x80 0x100 0x0 0x0")), ThreadMoment::lossy);
}
#endif

TEST(ThreadMoment, WhatCouldDoLessIsLeftAlone) {
  for (const long number : {SYS_write, SYS_sendto, SYS_sendmsg, SYS_connect, SYS_close, SYS_ioctl, 9999}) {
    EXPECT_EQ(moment_of_call(call(number)), ThreadMoment::lossy) << number;
    EXPECT_FALSE(may_be_made_again(number)) << number;
  }
}

TEST(ThreadMoment, OfNobody) {
  EXPECT_EQ(moment_of(0, 0), std::nullopt);
}

}  // namespace
}  // namespace samepage
