#include "report/host_lines.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "report/human_size.hpp"

namespace samepage {
namespace {

std::string ksm_words(const Host& host) {
  if (!host.ksm_run) return "no KSM in this kernel";
  std::string words = *host.ksm_run == "1" ? "KSM is on" : "KSM is off";
  if (const auto sharing = host.ksm.pages_sharing; sharing && *sharing) {
    const auto page_kb = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) / 1024;
    const std::uint64_t kb = (*sharing + host.ksm.ksm_zero_pages.value_or(0)) * page_kb;
    const auto profit = host.ksm.general_profit;
    words += ", saves " +
             human_size(profit ? static_cast<std::uint64_t>(std::max<std::int64_t>(0, *profit)) / 1024 : kb);
  }
  return words;
}

}  // namespace

std::string memory_line(const MemInfo& memory) {
  if (!memory.total) return "memory: the kernel does not tell";
  std::string line = human_size(*memory.total) + " of memory";
  if (memory.available)
    line += fmt::format(": {} used, {} available",
                        human_size(*memory.total - std::min(*memory.total, *memory.available)),
                        human_size(*memory.available));
  const std::uint64_t swap = memory.swap_total.value_or(0);
  if (swap == 0) return line + "; no swap";
  return line + fmt::format("; {} of swap: {} used", human_size(swap),
                            human_size(swap - std::min(swap, memory.swap_free.value_or(0))));
}

std::string ksm_and_pressure_line(const Host& host) {
  std::string line = ksm_words(host) + "   ";
  std::string waits;
  const auto add = [&](const char* name, const Pressure& pressure) {
    if (pressure.some) waits += fmt::format("{}{} {:.0f} %", waits.empty() ? "" : ", ", name, *pressure.some);
  };
  add("memory", host.memory_pressure);
  add("io", host.io_pressure);
  add("cpu", host.cpu_pressure);
  return line + (waits.empty() ? "no pressure figures in this kernel" : "waited for in 10 s: " + waits);
}

}  // namespace samepage
