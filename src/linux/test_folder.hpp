#pragma once

#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace samepage {

/// An empty folder that one test has for itself, removed with the object: ctest runs the tests of one binary
/// at the same time, each in a process of its own.
class TestFolder : public std::filesystem::path {
 public:
  TestFolder() : path(created()) {}
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(*this, ignored);
  }

 private:
  static std::string created() {
    std::string pattern = testing::TempDir() + "samepage_test.XXXXXX";
    if (!::mkdtemp(pattern.data()))
      throw std::filesystem::filesystem_error(pattern, {errno, std::generic_category()});
    return pattern;
  }
};

}  // namespace samepage
