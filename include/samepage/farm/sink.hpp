/// Where outputs go. A sink lives in the writer's process alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#pragma GCC visibility push(default)
namespace samepage::farm {

/// Takes each event's output once. Errors are exceptions: they end the job, and what was committed is kept.
class Sink {
 public:
  virtual ~Sink() = default;
  /// Begins, or goes on where the commit that returned `committed` stood: what was written after it is
  /// dropped.
  virtual void open(const std::optional<std::string>& committed) = 0;
  virtual void write(std::uint64_t event, std::span<const std::byte> output) = 0;
  /// Makes durable what was written; returns what open() needs to go on from here.
  virtual std::string commit() = 0;
  /// After the last commit: gives the output its final form. `merged` is the saved merged result, empty
  /// without one. Called again when a job is resumed that died in the midst of it.
  virtual void finish(std::span<const std::byte> merged) = 0;
  /// The job failed and has no journal, so nobody will go on: removes what was begun.
  virtual void abandon() {}
};

/// The outputs one behind the other, in `file`, which appears when the job is complete; until then they are
/// in FILE.partial, which a new job begins anew. Throws JobError if `file` exists.
std::unique_ptr<Sink> file_sink(const std::filesystem::path& file);
/// Keeps nothing: for jobs whose result is the merged one.
std::unique_ptr<Sink> no_sink();

}  // namespace samepage::farm
#pragma GCC visibility pop
