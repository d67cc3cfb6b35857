#pragma once

#include <cstdint>
#include <memory>
#include <samepage/census.hpp>
#include <span>
#include <vector>

namespace samepage {

/// Every page that the census looks at: 18 bytes each. Pages that follow one another in a mapping are a run.
class PageList {
 public:
  struct Run {
    std::uint64_t address;
    std::uint32_t first;  ///< position of its first page
    std::uint32_t pages;
    std::uint32_t process, mapping;  ///< positions among the processes and among the process's mappings
  };

  // Facts about a page, beside its class in the low 5 bits.
  static constexpr std::uint16_t kClassMask = 31;
  static constexpr std::uint16_t kExcess = 1 << 5;  ///< would go if one copy served all
  static constexpr std::uint16_t kFile = 1 << 6;    ///< of a file or of shared memory
  static constexpr std::uint16_t kAlone = 1 << 7;   ///< mapped once
  static constexpr std::uint16_t kHuge = 1 << 8;
  static constexpr std::uint16_t kKsm = 1 << 9;
  static constexpr std::uint16_t kFollower =
      1 << 10;  ///< another page of the list is in the same frame and is read instead
  static constexpr std::uint16_t kEqual = 1 << 11;   ///< has the content of another page
  static constexpr std::uint16_t kFirst = 1 << 12;   ///< of those that have its content the first
  static constexpr std::uint16_t kLeader = 1 << 13;  ///< others were compared with it

  /// The pages of one process while they are listed, in a place of their own: several are filled at the same
  /// time.
  class Part {
   public:
    /// Appends a page; they come by address. False if the part is full, and the page left out.
    bool add(std::uint32_t mapping, std::uint64_t address, std::uint64_t page_frame, std::uint16_t page_facts,
             PageClass page_class);

   private:
    friend class PageList;
    Part(PageList& list, std::size_t begin, std::size_t capacity)
        : list_(&list), begin_(begin), capacity_(capacity) {}

    PageList* list_;
    std::size_t begin_, capacity_, size_ = 0;
    std::vector<Run> runs_;
  };

  /// An empty list whose parts hold so many pages each. What is not used of them takes no memory.
  explicit PageList(const std::vector<std::size_t>& capacities);
  PageList(const PageList&) = delete;  // its parts know where it is
  PageList& operator=(const PageList&) = delete;
  Part& part(std::size_t i) { return parts_[i]; }
  /// Appends a part's pages as those of `process`; parts come in their order, those that are left out are
  /// lost.
  void append(std::size_t part, std::uint32_t process);

  std::size_t size() const { return size_; }
  const std::vector<Run>& runs() const { return runs_; }
  const Run& run_of(std::size_t position) const;
  std::uint64_t address_of(std::size_t position) const;
  /// The position of a process's page at an address; size() if it is not in the list.
  std::size_t find(std::uint32_t process, std::uint64_t address) const;

  PageClass class_of(std::size_t position) const {
    return static_cast<PageClass>(facts[position] & kClassMask);
  }
  void set_class(std::size_t position, PageClass page_class) {
    facts[position] =
        static_cast<std::uint16_t>((facts[position] & ~kClassMask) | static_cast<unsigned>(page_class));
  }
  bool has(std::size_t position, std::uint16_t fact) const { return (facts[position] & fact) != 0; }
  void set(std::size_t position, std::uint16_t fact) { facts[position] |= fact; }
  void clear(std::size_t position, std::uint16_t fact) {
    facts[position] &= static_cast<std::uint16_t>(~fact);
  }
  /// Anonymous and mapped once: what could be shared, and is not.
  bool is_private(std::size_t position) const { return (facts[position] & (kFile | kAlone)) == kAlone; }

  /// By position. `content` is the fingerprint of the bytes, later of what the pages are compared by next;
  /// `frame` says which pages are one in memory (0: unknown), later it is the anchor of the page.
  std::span<std::uint64_t> content, frame;
  std::span<std::uint16_t> facts;

 private:
  std::unique_ptr<std::uint64_t[]> contents_, frames_;
  std::unique_ptr<std::uint16_t[]> all_facts_;
  std::size_t size_ = 0;
  std::vector<Part> parts_;
  std::vector<Run> runs_;
};

}  // namespace samepage
