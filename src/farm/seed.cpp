#include "samepage/farm/event.hpp"

namespace samepage::farm {

namespace {

std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

}  // namespace

std::uint64_t event_seed(std::uint64_t job_seed, std::uint64_t number) {
  return mixed(mixed(job_seed) ^ number);
}

}  // namespace samepage::farm
