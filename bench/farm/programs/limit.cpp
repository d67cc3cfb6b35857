// What no transport can be faster than: events copied into 32 MB of memory, and nothing else.
#include <algorithm>
#include <cstdio>

#include "task.hpp"

int main(int argc, char** argv) {
  const bench::Settings settings = bench::settings(argc, argv);
  std::vector<std::byte> memory(std::max<std::size_t>(std::size_t{32} << 20, settings.bytes));
  const std::size_t places = memory.size() / settings.bytes;
  const auto copy_all = [&] {
    const std::uint64_t began = bench::now_ns();
    for (std::uint64_t number = 0; number < settings.events; ++number)
      bench::make_event(number, std::span(memory).subspan(number % places * settings.bytes, settings.bytes));
    return 1e-9 * static_cast<double>(bench::now_ns() - began);
  };
  copy_all();  // so that the memory is there
  const double seconds = copy_all(), events = static_cast<double>(settings.events);
  std::printf("{\"events_per_s\": %.1f, \"gb_per_s\": %.4f}\n", events / seconds,
              events * static_cast<double>(settings.bytes) / seconds * 1e-9);
}
