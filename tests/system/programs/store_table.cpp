// Builds a table of MB megabytes, rich in pointers, settles, reads all of it and says "ready"; waits until
// FILE exists, reads all of it again and says what it found. store_table MB FILE
#include <samepage/samepage.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#pragma weak samepage_settle

namespace {

struct Node {
  explicit Node(std::uint64_t n)
      : name("conditions of channel " + std::to_string(n)), values(n % 13 + 3, double(n) * 0.25) {}
  virtual ~Node() = default;
  std::string name;
  std::vector<double> values;
  const Node* next = nullptr;
};
struct Special : Node {
  using Node::Node;
  std::unique_ptr<int> extra = std::make_unique<int>(7);
};

std::uint64_t sum_of(const std::vector<std::unique_ptr<Node>>& table) {
  std::uint64_t sum = 0;
  for (const Node* node = table.front().get(); node; node = node->next)
    sum = sum * 31 + node->name.size() + static_cast<std::uint64_t>(node->values.back());
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::vector<std::unique_ptr<Node>> table;
  const std::size_t nodes = std::strtoull(argv[1], nullptr, 10) * 4096;  // of some 256 bytes
  table.reserve(nodes);
  for (std::size_t n = 0; n < nodes; ++n) {
    table.push_back(n % 3 ? std::make_unique<Node>(n) : std::make_unique<Special>(n));
    if (n) table[n - 1]->next = table[n].get();
  }
  if (samepage_settle) samepage_settle();
  std::uint64_t sum = sum_of(table);
  std::puts("ready");
  std::fflush(stdout);
  while (access(argv[2], F_OK) != 0) usleep(10000);
  sum ^= sum_of(table) << 1;
  std::printf("%016lx\n", sum);
  return 0;
}
