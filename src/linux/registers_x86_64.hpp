#pragma once

#include <sys/syscall.h>
#include <sys/user.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace samepage {

using Registers = user_regs_struct;

/// `syscall`
inline constexpr std::array<unsigned char, 2> kCallInstruction = {0x0f, 0x05};
inline constexpr std::size_t kInstructionAlignment = 1;

/// The kernel restarts a call that was interrupted, with EINTR in its place, where nothing was done yet.
inline constexpr bool kRestartsInterrupted = true;

inline std::uint64_t next_instruction(const Registers& registers) {
  return registers.rip;
}

/// Stands before `instruction`, about to make the call. orig_rax of -1 keeps the kernel from restarting what
/// the thread was in.
inline void prepare_call(Registers& registers, std::uint64_t instruction, long number,
                         const std::array<std::uint64_t, 6>& arguments) {
  registers.rip = instruction;
  registers.rax = static_cast<std::uint64_t>(number);
  registers.orig_rax = ~0ULL;
  registers.rdi = arguments[0];
  registers.rsi = arguments[1];
  registers.rdx = arguments[2];
  registers.r10 = arguments[3];
  registers.r8 = arguments[4];
  registers.r9 = arguments[5];
}

inline long call_result(const Registers& registers) {
  return static_cast<long>(registers.rax);
}

/// The call that the thread stopped in, which is over: its result stands in the registers. -1 for none.
inline long call_of(const Registers& registers) {
  return static_cast<long>(registers.orig_rax);
}

/// The call is made again, or, if a handler of a signal comes first, fails with EINTR as it would have
/// without us (ERESTARTNOHAND of the kernel's linux/errno.h, seen by arch_do_signal_or_restart()).
inline void restart_interrupted(Registers& registers) {
  registers.rax = static_cast<std::uint64_t>(-514L);
}

}  // namespace samepage
