#pragma once

#include <string>
#include <string_view>

namespace reco {

/// A file that appears whole or not at all: written under a name of its own beside `path`, then renamed. The
/// unfinished file is removed by the destructor, and when SIGINT or SIGTERM ends the process.
/// One at a time per process.
class NewFile {
 public:
  explicit NewFile(std::string path);
  ~NewFile();
  /// Throws UsageError if there cannot be a file at `path`; leaves nothing behind.
  static void check(const std::string& path) { NewFile probe(path); }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  const std::string& unfinished_path() const { return unfinished_; }

  void write(std::string_view content);
  /// The file gets its name. Throws UsageError if that fails.
  void commit();

 private:
  std::string path_, unfinished_;
  bool committed_ = false;
};

}  // namespace reco
