#pragma once

#include <sys/syscall.h>
#include <sys/user.h>

#include <array>
#include <cstdint>

namespace samepage {

// Written from the kernel's source (arch/arm64/kernel/signal.c) and compiled; not run yet.

using Registers = user_regs_struct;

/// `svc #0`
inline constexpr std::array<unsigned char, 4> kCallInstruction = {0x01, 0x00, 0x00, 0xd4};
inline constexpr std::size_t kInstructionAlignment = 4;

/// x0 holds the result by then, and the first argument is out of reach.
inline constexpr bool kRestartsInterrupted = false;

inline std::uint64_t next_instruction(const Registers& registers) {
  return registers.pc;
}

/// Stands before `instruction`, about to make the call. A call that the kernel restarts has had its program
/// counter set back to its own instruction before the thread stopped, so that putting the registers back
/// makes it again; sleeps then begin anew.
inline void prepare_call(Registers& registers, std::uint64_t instruction, long number,
                         const std::array<std::uint64_t, 6>& arguments) {
  registers.pc = instruction;
  registers.regs[8] = static_cast<std::uint64_t>(number);
  for (std::size_t i = 0; i < arguments.size(); ++i) registers.regs[i] = arguments[i];
}

inline long call_result(const Registers& registers) {
  return static_cast<long>(registers.regs[0]);
}

inline long call_of(const Registers&) {
  return -1;
}

inline void restart_interrupted(Registers&) {}

}  // namespace samepage
