#include <filesystem>
#include <string>

#include "farm/appended_file.hpp"
#include "samepage/farm.hpp"

namespace samepage::farm {

namespace {

class FileSink final : public Sink {
 public:
  explicit FileSink(std::filesystem::path file)
      : file_(std::move(file)), partial_(file_.string() + ".partial") {}

  void open(const std::optional<std::string>& committed) override {
    if (std::filesystem::exists(file_))
      throw JobError(file_.string() + " exists already; remove it or name another");
    partial_.open(committed ? std::stoull(*committed) : 0);
  }
  void write(std::uint64_t, std::span<const std::byte> output) override { partial_.append(output); }
  std::string commit() override { return std::to_string(partial_.commit()); }
  void finish(std::span<const std::byte>) override {
    partial_.close();
    if (std::filesystem::exists(partial_.path())) std::filesystem::rename(partial_.path(), file_);
    sync_folder_of(file_);
  }
  void abandon() override {
    partial_.close();
    std::filesystem::remove(partial_.path());
  }

 private:
  std::filesystem::path file_;
  AppendedFile partial_;
};

class NoSink final : public Sink {
 public:
  void open(const std::optional<std::string>&) override {}
  void write(std::uint64_t, std::span<const std::byte>) override {}
  std::string commit() override { return {}; }
  void finish(std::span<const std::byte>) override {}
};

}  // namespace

std::unique_ptr<Sink> file_sink(const std::filesystem::path& file) {
  return std::make_unique<FileSink>(file);
}

std::unique_ptr<Sink> no_sink() {
  return std::make_unique<NoSink>();
}

}  // namespace samepage::farm
