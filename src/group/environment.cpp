#include "group/environment.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <random>

namespace samepage {
namespace {

bool names(const std::string& entry, std::string_view name) {
  return entry.size() > name.size() && entry.starts_with(name) && entry[name.size()] == '=';
}

}  // namespace

Environment Environment::of_this_process() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry; ++entry) entries.emplace_back(*entry);
  return Environment(std::move(entries));
}

bool Environment::has(std::string_view name) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const auto& entry) { return names(entry, name); });
}

std::string Environment::get(std::string_view name) const {
  for (const std::string& entry : entries_)
    if (names(entry, name)) return entry.substr(name.size() + 1);
  return {};
}

void Environment::set(std::string_view name, std::string_view value) {
  std::erase_if(entries_, [&](const std::string& entry) { return names(entry, name); });
  entries_.push_back(fmt::format("{}={}", name, value));
}

HashSeeds HashSeeds::random() {
  std::random_device random;
  return {random() | 1U, std::uint64_t{random()} << 32 | random()};
}

void seed_hashes(Environment& environment, const HashSeeds& seeds) {
  if (!environment.has("PYTHONHASHSEED")) environment.set("PYTHONHASHSEED", std::to_string(seeds.python));
  if (!environment.has("PERL_HASH_SEED") && !environment.has("PERL_PERTURB_KEYS")) {
    environment.set("PERL_HASH_SEED", fmt::format("{:016x}", seeds.perl));
    environment.set("PERL_PERTURB_KEYS", "2");  // deterministic: derived from the seed
  }
}

void preload_heap(Environment& environment, const std::string& library) {
  const std::string others = environment.get("LD_PRELOAD");
  environment.set("LD_PRELOAD", others.empty() ? library : library + ':' + others);
}

void share_interpreter_arenas(Environment& environment) {
  if (!environment.has("PYTHONMALLOC")) environment.set("PYTHONMALLOC", "malloc");
}

}  // namespace samepage
