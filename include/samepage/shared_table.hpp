/// A table that processes fill together: fixed capacity, no process can leave it broken.
///
///   auto seen = samepage::SharedTable<std::uint32_t, Count>::anonymous(100'000);   // before the workers are
///   forked seen.update(sensor, [&](Count& count) { count.hits += 1; count.charge += charge; });
///
/// An update is done whole or not at all, also when the process is killed in it by SIGKILL; others then go on
/// at once. Keys and values are copied as bytes: they hold no pointers, and need no destructor. There is no
/// erase.
///
/// Thread-safety: any thread of any process that has the table may call everything; not signal handlers. All
/// processes are in one PID namespace. For a table in a file they are built for the same architecture with
/// the same types and hash.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <samepage/shared_table/memory.hpp>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace samepage {

template <class Key, class Value, class Hash = std::hash<Key>>
class SharedTable {
  static_assert(std::is_trivially_copyable_v<Key> && std::is_trivially_copyable_v<Value>,
                "processes share bytes alone");

 public:
  /// Empty; children forked afterwards share it. `capacity` entries fit, a few per cent more may.
  static SharedTable anonymous(std::size_t capacity) {
    const Shape shape(capacity);
    SharedTable table(shared_table::Memory::anonymous(shape.bytes()), shape);
    prepare(table.memory_.bytes(), shape, false);
    return table;
  }

  /// The table in a file, which is made if it is not there, readable by this user alone. Throws
  /// std::system_error, and std::runtime_error for a file that is something else, or a table of other types
  /// or capacity.
  static SharedTable file(const std::filesystem::path& path, std::size_t capacity) {
    const Shape shape(capacity);
    return {shared_table::Memory::file(
                path, shape.bytes(),
                [&](std::byte* bytes, bool existed) {
                  if (!prepare(bytes, shape, existed))
                    throw std::runtime_error(path.string() +
                                             ": not a shared table of this capacity and these types");
                },
                [&](std::byte* bytes) { return is_table(bytes, shape); }),
            shape};
  }

  /// Calls `change(Value&)` with a copy of the key's value, or Value{} if it is new, and stores the result.
  /// False, with nothing changed, if the table is full. If `change` throws nothing is changed either. It runs
  /// while a part of the table is locked: it must not fork, and a call of this table in it throws
  /// std::logic_error if it meets the same part.
  template <class Change>
  [[nodiscard]] bool update(const Key& key, Change&& change) {
    const Place place = place_of(key);
    const Lock lock(*this, place.stripe);
    const std::size_t slot = find_slot(place, key);
    if (slot == shape_.slots) return false;
    Stripe& stripe = stripes()[place.stripe];
    const Slot& old = slots(place.stripe)[slot];
    Entry next = old.used ? old.entry : Entry{key, Value{}};
    change(next.value);
    stripe.next = next;
    stripe.next_used = stripe.used + !old.used;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    stripe.commit.store(slot + 1, std::memory_order_release);
    finish(place.stripe);
    return true;
  }

  std::optional<Value> find(const Key& key) const {
    const Place place = place_of(key);
    const Lock lock(*this, place.stripe);
    const std::size_t slot = find_slot(place, key);
    if (slot == shape_.slots || !slots(place.stripe)[slot].used) return std::nullopt;
    return slots(place.stripe)[slot].entry.value;
  }

  /// Calls `visit(const Key&, const Value&)` for every entry, in no order, under the same rule as update()'s
  /// `change`. Entries that others add meanwhile are seen or not; each is seen once and whole.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t stripe = 0; stripe < shape_.stripes; ++stripe) {
      const Lock lock(*this, stripe);
      for (std::size_t slot = 0; slot < shape_.slots; ++slot)
        if (const Slot& at = slots(stripe)[slot]; at.used) visit(at.entry.key, at.entry.value);
    }
  }

  /// Entries.
  std::size_t size() const {
    std::size_t sum = 0;
    for (std::size_t stripe = 0; stripe < shape_.stripes; ++stripe) {
      const Lock lock(*this, stripe);
      sum += stripes()[stripe].used;
    }
    return sum;
  }

 private:
  // In memory: a header, the stripes, the slots of each stripe. A key belongs to one stripe, and lies in its
  // slots where linear probing puts it.
  //
  // Invariant, which makes a kill harmless: under a stripe's mutex a slot is written only while `commit`
  // names it (slot + 1), and `next` then holds all that it will be. Whoever gets the mutex after a holder's
  // death writes it again. A process is killed between two instructions, so the compiler's order is all that
  // matters: hence the signal fences.
  struct Entry {
    Key key;
    Value value;
  };
  struct Slot {
    Entry entry;
    bool used;
  };
  struct alignas(64) Stripe {
    pthread_mutex_t mutex;
    std::atomic<std::uint64_t> commit;
    std::uint64_t used, next_used;
    Entry next;
  };
  struct Header {
    std::array<char, 8> magic;
    std::uint64_t version, key_size, value_size, slot_size, stripe_size, stripes, slots;
  };
  static_assert(sizeof(Header) == 64 && alignof(Slot) <= 64 &&
                std::atomic<std::uint64_t>::is_always_lock_free);

  struct Shape {
    explicit Shape(std::size_t capacity)
        : stripes(std::bit_floor(std::clamp<std::size_t>(capacity / kPerStripe, 1, kStripesMost))),
          // Keys spread unevenly: a quarter more is eight standard deviations of a stripe of 256, and more of
          // others.
          slots(stripes == 1 ? capacity : capacity / stripes + capacity / stripes / 4 + kPerStripe / 4) {
      if (capacity == 0 || capacity > kCapacityMost)
        throw std::invalid_argument("capacity of a shared table");
    }
    std::size_t bytes() const {
      return sizeof(Header) + stripes * sizeof(Stripe) + stripes * slots * sizeof(Slot);
    }
    Header header() const {
      return {{'s', 'p', 't', 'a', 'b', 'l', 'e', '\n'},
              1,
              sizeof(Key),
              sizeof(Value),
              sizeof(Slot),
              sizeof(Stripe),
              stripes,
              slots};
    }
    std::size_t stripes, slots;
  };
  static constexpr std::size_t kPerStripe = 256, kStripesMost = 256,
                               kCapacityMost = (std::size_t{1} << 46) / sizeof(Slot);

  struct Place {
    std::size_t stripe, slot;
  };

  class Lock {
   public:
    Lock(const SharedTable& table, std::size_t stripe) : mutex_(&table.stripes()[stripe].mutex) {
      const int error = pthread_mutex_lock(mutex_);
      if (error == EOWNERDEAD) {
        table.finish(stripe);
        pthread_mutex_consistent(mutex_);
      } else if (error == EDEADLK) {
        throw std::logic_error("a shared table is used inside its own update");
      } else if (error) {
        throw std::system_error(error, std::generic_category(), "shared table");
      }
    }
    ~Lock() { pthread_mutex_unlock(mutex_); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    pthread_mutex_t* mutex_;
  };

  SharedTable(shared_table::Memory memory, const Shape& shape) : memory_(std::move(memory)), shape_(shape) {}

  /// For the only user of the memory: makes a table, or puts right what the last users left. False if it
  /// holds something else.
  static bool prepare(std::byte* bytes, const Shape& shape, bool existed) {
    if (existed && !is_table(bytes, shape) && !is_blank(bytes)) return false;
    auto* stripes = reinterpret_cast<Stripe*>(bytes + sizeof(Header));
    auto* slots = reinterpret_cast<Slot*>(stripes + shape.stripes);
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    for (std::size_t i = 0; i < shape.stripes; ++i) {
      pthread_mutex_init(&stripes[i].mutex, &kind);
      finish(stripes[i], slots + i * shape.slots, shape.slots);
    }
    pthread_mutexattr_destroy(&kind);
    const Header header = shape.header();
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::memcpy(bytes, &header, sizeof header);
    return true;
  }
  static bool is_table(const std::byte* bytes, const Shape& shape) {
    const Header header = shape.header();
    return std::memcmp(bytes, &header, sizeof header) == 0;
  }
  /// Its maker was killed before it was one.
  static bool is_blank(const std::byte* bytes) {
    return std::all_of(bytes, bytes + sizeof(Header), [](std::byte byte) { return byte == std::byte{0}; });
  }

  static void finish(Stripe& stripe, Slot* slots, std::size_t count) {
    const std::uint64_t commit = stripe.commit.load(std::memory_order_acquire);
    if (commit == 0 || commit > count) return;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    slots[commit - 1].entry = stripe.next;
    slots[commit - 1].used = true;
    stripe.used = stripe.next_used;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    stripe.commit.store(0, std::memory_order_release);
  }
  void finish(std::size_t stripe) const { finish(stripes()[stripe], slots(stripe), shape_.slots); }

  Stripe* stripes() const { return reinterpret_cast<Stripe*>(memory_.bytes() + sizeof(Header)); }
  Slot* slots(std::size_t stripe) const {
    return reinterpret_cast<Slot*>(stripes() + shape_.stripes) + stripe * shape_.slots;
  }

  Place place_of(const Key& key) const {
    std::uint64_t hash = Hash{}(key);  // often the key itself: mixed as MurmurHash3 does at its end
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccd;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53;
    hash ^= hash >> 33;
    return {hash % shape_.stripes, hash / shape_.stripes % shape_.slots};
  }
  /// The key's slot, or the free one where it goes, or `slots` if there is none.
  std::size_t find_slot(const Place& place, const Key& key) const {
    const Slot* all = slots(place.stripe);
    for (std::size_t i = 0; i < shape_.slots; ++i) {
      const std::size_t slot = (place.slot + i) % shape_.slots;
      if (!all[slot].used || all[slot].entry.key == key) return slot;
    }
    return shape_.slots;
  }

  shared_table::Memory memory_;
  Shape shape_;
};

}  // namespace samepage
