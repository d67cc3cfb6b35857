// Any bytes may come in place of the kernel's text; the parsers answer or refuse, within the bytes they were
// given.
#include <cstddef>
#include <cstdint>

#include "linux/proc_text.hpp"
#include "linux/smaps_text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  samepage::parse_proc_stat(text);
  samepage::parse_proc_status(text);
  samepage::parse_smaps_rollup(text);
  samepage::parse_ksm_stat(text);
  samepage::parse_strings(text);
  samepage::parse_cgroups(text);
  samepage::parse_smaps(text);
  samepage::parse_meminfo(text);
  samepage::parse_pressure(text);
  return 0;
}
