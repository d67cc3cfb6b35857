#pragma once

#include <zlib.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace samepage::hep {

/// Lines of a text file, plain or gzipped. Failures, and a gzip stream that ends too early, are
/// farm::JobErrors.
class GzipLines {
 public:
  explicit GzipLines(const std::string& path);

  /// The next line with its newline (which the file's last line may lack); false at the end. Valid until the
  /// next call.
  bool next(std::string_view& line);

 private:
  bool refill();

  struct Close {
    void operator()(gzFile file) const { gzclose(file); }
  };
  std::string path_;
  std::unique_ptr<gzFile_s, Close> file_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0, end_ = 0;  // what of the buffer is not yet handed out
};

}  // namespace samepage::hep
