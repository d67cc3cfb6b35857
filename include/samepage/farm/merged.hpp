/// Results that are added up over events: histograms, counters, sums.
///
/// Events are merged in blocks of Options::events_per_block, in order: each block begins with an empty value,
/// its events add to it one after another, and the blocks' values are merged into the total one after
/// another. The serial job does the same, so totals are equal bit for bit for any number of workers, floating
/// point included.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#pragma GCC visibility push(default)
namespace samepage::farm {

/// A value as the farm handles it. Users take Merged<T>.
class Accumulator {
 public:
  virtual ~Accumulator() = default;
  virtual void clear() = 0;
  virtual std::string save() const = 0;
  virtual void load(std::string_view saved) = 0;
  virtual void merge(std::string_view saved) = 0;
  virtual std::unique_ptr<Accumulator> another() const = 0;  ///< an empty one of the same kind
};

/// How a T is merged. `save` and `load` may use any encoding that keeps every bit.
template <typename T>
struct Merging {
  std::function<T()> empty;
  std::function<void(T& total, const T& part)> merge;
  std::function<std::string(const T&)> save;
  std::function<T(std::string_view)> load;
};

/// Hand it to Job::merged, and fill it while an event is processed.
template <typename T>
class Merged final : public Accumulator {
 public:
  explicit Merged(Merging<T> how) : how_(std::move(how)), value_(how_.empty()) {}

  T& operator*() { return value_; }
  T* operator->() { return &value_; }
  /// What Report::merged holds, as a T.
  T read(std::string_view saved) const { return saved.empty() ? how_.empty() : how_.load(saved); }

  void clear() override { value_ = how_.empty(); }
  std::string save() const override { return how_.save(value_); }
  void load(std::string_view saved) override { value_ = how_.load(saved); }
  void merge(std::string_view saved) override { how_.merge(value_, how_.load(saved)); }
  std::unique_ptr<Accumulator> another() const override { return std::make_unique<Merged>(how_); }

 private:
  Merging<T> how_;
  T value_;
};

}  // namespace samepage::farm
#pragma GCC visibility pop
