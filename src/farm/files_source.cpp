#include <sys/stat.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "samepage/farm.hpp"

namespace samepage::farm {

namespace {

dev_t device_of(const std::filesystem::path& file) {
  struct stat status {};
  if (stat(file.c_str(), &status) < 0) return 0;  // opening it will say what is wrong
  return status.st_dev;
}

/// One file, read by a thread as far ahead as it may.
class FileAhead final : private EventBuffer {
 public:
  FileAhead(const std::filesystem::path& file, const FileOpener& open, std::size_t most_bytes)
      : most_bytes_(most_bytes),
        thread_([this, file, open](const std::stop_token& stop) { read(stop, file, open); }) {}

  /// The next event; false at the file's end. Throws what the source threw.
  bool take(std::vector<std::byte>& event) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !events_.empty() || ended_; });
    if (events_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      return false;
    }
    event = std::move(events_.front());
    events_.pop_front();
    bytes_ -= event.size();
    changed_.notify_all();
    return true;
  }
  bool has_event() {
    const std::lock_guard lock(mutex_);
    return !events_.empty();
  }
  /// The file is closed again.
  bool read_whole() {
    const std::lock_guard lock(mutex_);
    return ended_;
  }

 private:
  std::span<std::byte> allocate(std::size_t size) override {
    event_.resize(size);
    return event_;
  }
  void set_number(std::uint64_t) override {}  // files are numbered through

  void read(const std::stop_token& stop, const std::filesystem::path& file, const FileOpener& open) {
    std::exception_ptr failure;
    try {
      const std::unique_ptr<Source> source = open(file);
      while (!stop.stop_requested() && source->next(*this)) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, stop, [&] { return events_.empty() || bytes_ + event_.size() <= most_bytes_; });
        bytes_ += event_.size();
        events_.push_back(std::move(event_));
        changed_.notify_all();
      }
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    failure_ = failure;
    ended_ = true;
    changed_.notify_all();
  }

  const std::size_t most_bytes_;
  std::vector<std::byte> event_;  // the thread's
  std::mutex mutex_;              // guards what follows
  std::condition_variable_any changed_;
  std::deque<std::vector<std::byte>> events_;
  std::size_t bytes_ = 0;
  bool ended_ = false;
  std::exception_ptr failure_;
  std::jthread thread_;
};

class FilesSource final : public Source {
 public:
  FilesSource(std::vector<std::filesystem::path> files, FileOpener open, const FilesOptions& options)
      : files_(std::move(files)), open_(std::move(open)), options_(options) {
    if (options_.readers_per_disk == 0) throw JobError("readers_per_disk must be at least 1");
    open_what_may_be_open();
  }

  bool next(EventBuffer& buffer) override {
    while (!ahead_.empty()) {
      if (ahead_.front().file->take(event_)) {
        buffer.assign(event_);
        return true;
      }
      ahead_.pop_front();
      open_what_may_be_open();
    }
    return false;
  }
  bool ready() const override { return !ahead_.empty() && ahead_.front().file->has_event(); }

 private:
  struct Ahead {
    dev_t device;
    std::unique_ptr<FileAhead> file;
  };

  /// In the order of the files: one that may not be opened yet holds up those behind it on its disk alone,
  /// which come later anyway.
  void open_what_may_be_open() {
    while (next_ < files_.size()) {
      const dev_t device = device_of(files_[next_]);
      const auto open = std::count_if(ahead_.begin(), ahead_.end(), [&](const Ahead& ahead) {
        return ahead.device == device && !ahead.file->read_whole();
      });
      if (static_cast<unsigned>(open) >= options_.readers_per_disk) return;
      // Beyond the files that are being read a few may wait, read whole, until it is their turn.
      if (ahead_.size() >= 2 * std::size_t{options_.readers_per_disk} + 2) return;
      ahead_.push_back(
          {device, std::make_unique<FileAhead>(files_[next_], open_, options_.read_ahead_bytes)});
      ++next_;
    }
  }

  std::vector<std::filesystem::path> files_;
  FileOpener open_;
  FilesOptions options_;
  std::size_t next_ = 0;  // file to be opened
  std::deque<Ahead> ahead_;
  std::vector<std::byte> event_;
};

}  // namespace

std::unique_ptr<Source> files_source(std::vector<std::filesystem::path> files, FileOpener open,
                                     FilesOptions options) {
  return std::make_unique<FilesSource>(std::move(files), std::move(open), options);
}

}  // namespace samepage::farm
