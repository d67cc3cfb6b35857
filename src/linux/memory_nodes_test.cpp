#include "linux/memory_nodes.hpp"

#include <gtest/gtest.h>

namespace samepage {
namespace {

TEST(MemoryNodes, AreCounted) {
  EXPECT_EQ(parse_node_list("0\n"), 1u);
  EXPECT_EQ(parse_node_list("0-1,4"), 3u);
  EXPECT_EQ(parse_node_list(""), 1u);
  EXPECT_EQ(parse_node_list("5-2,x"), 1u);
  EXPECT_EQ(memory_nodes("/nowhere"), 1u);
}

}  // namespace
}  // namespace samepage
