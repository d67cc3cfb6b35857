/// Where events come from. A source lives in the reader's process alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)
namespace samepage::farm {

/// Room for the next event, where the workers will find it.
class EventBuffer {
 public:
  virtual ~EventBuffer() = default;
  /// `size` bytes to be filled before next() returns. Once per event. May wait for workers to free memory.
  /// Throws JobError if the job's events may not be so large.
  virtual std::span<std::byte> allocate(std::size_t size) = 0;
  /// Instead of the event's place in the source, counted from 0. Numbers must rise.
  virtual void set_number(std::uint64_t number) = 0;

  void assign(std::span<const std::byte> bytes);
  void assign(std::string_view text) { assign(std::as_bytes(std::span(text.data(), text.size()))); }
};

/// Events in order; the same ones each time, if the job is to be resumed. An exception ends the job: what was
/// delivered before is processed and committed, its text is the job's error.
class Source {
 public:
  virtual ~Source() = default;
  /// Delivers the next event through `buffer`; false after the last.
  virtual bool next(EventBuffer& buffer) = 0;
  /// Whether next() will not wait for the outside world. Where it may wait, each event is handed on at once;
  /// where it does not, small ones travel together.
  virtual bool ready() const { return false; }
};

/// Records of a file: each a length (8 bytes, little-endian) and so many bytes. "-" is standard input.
std::unique_ptr<Source> record_source(const std::filesystem::path& file);
/// Lines of a file, without their ends. "-" is standard input.
std::unique_ptr<Source> line_source(const std::filesystem::path& file);
/// The events that an earlier job put into quarantine, with the numbers that they had there.
std::unique_ptr<Source> quarantine_source(const std::filesystem::path& file);

/// Makes the source of one file.
using FileOpener = std::function<std::unique_ptr<Source>(const std::filesystem::path&)>;

struct FilesOptions {
  unsigned readers_per_disk = 2;  ///< files of one device that are open at the same time
  std::size_t read_ahead_bytes = std::size_t{8} << 20;  ///< per file
};

/// The events of several files, file after file in the order given, numbered through. While one is delivered,
/// those that follow are opened and read ahead by threads of their own, within the limits.
std::unique_ptr<Source> files_source(std::vector<std::filesystem::path> files, FileOpener open,
                                     FilesOptions options = {});

/// Path, size and time of change: for Job::identity, so that a job is not resumed with another input.
std::string file_identity(const std::filesystem::path& file);

}  // namespace samepage::farm
#pragma GCC visibility pop
