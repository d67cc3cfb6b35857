#include "farm/sharing.hpp"

#include <dlfcn.h>

#include "samepage/samepage.h"

namespace samepage::farm {

namespace {

using Call = int (*)();

constexpr std::size_t kPageSize = 4096;
constexpr std::chrono::duration<double> kFault{4e-6};  // of a page that is written again (docs/store.md)

/// A function of samepage.h, if libsamepage.so or the heap is in this process.
Call find(const char* name) {
  return reinterpret_cast<Call>(dlsym(RTLD_DEFAULT, name));
}

}  // namespace

Sharing::Sharing() : seal_(find("samepage_seal")), reshare_(find("samepage_reshare")) {}

std::size_t Sharing::pages_given_back() {
  static const auto statistics =
      reinterpret_cast<int (*)(samepage_store_stats*)>(dlsym(RTLD_DEFAULT, "samepage_store_statistics"));
  samepage_store_stats stats;
  return statistics && statistics(&stats) == SAMEPAGE_OK ? stats.given_back / kPageSize : 0;
}

std::string Sharing::seal() const {
  const int result = seal_ ? seal_() : SAMEPAGE_NO_HEAP;
  if (result == SAMEPAGE_OK) return "the heap keeps constants apart, the store holds them";
  if (result != SAMEPAGE_NO_HEAP) return "the heap keeps constants apart; not all of them are in the store";
  return "no heap: workers share what the fork left them, and lose pages as events fill the holes between "
         "constants; preload libsamepage-heap.so, or start the program with samepage run";
}

void Sharing::reshare(double budget) {
  if (!reshare_ || budget <= 0) return;
  const auto now = std::chrono::steady_clock::now();
  const auto pause = std::max(owed_ / budget, std::chrono::duration<double>(0.2));
  if (now - last_ < pause) return;
  const std::size_t before = pages_given_back();
  if (reshare_() == SAMEPAGE_NO_HEAP) reshare_ = nullptr;
  last_ = std::chrono::steady_clock::now();
  owed_ = last_ - now + kFault * static_cast<double>(pages_given_back() - before);
}

}  // namespace samepage::farm
