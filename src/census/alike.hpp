#pragma once

#include <mutex>

#include "census/look.hpp"

namespace samepage {

class ReadAhead;

/// The later steps: what pages that no other equals have in common with pages of other processes. Beside them
/// one page of each content that several have is compared.
class Alike {
 public:
  Alike(PageList& list, Look& look, const std::vector<Subject>& subjects)
      : list_(list), look_(look), subjects_(subjects) {}

  /// Gives pages of class unique the classes pointers, few_bytes or shifted where they belong there.
  void judge();

  /// Of what was compared by judge().
  FewBytes few_bytes() const;

 private:
  struct Page;
  class Leaders;

  bool unexplained(std::size_t i) const { return list_.class_of(i) == PageClass::unique; }
  bool compared(std::size_t i) const;
  bool any_unexplained() const;
  bool any_other_layout() const;
  std::uint32_t process_of(std::size_t i) const { return list_.run_of(i).process; }

  void prepare_others();
  void judge_pointers();
  template <typename Key>
  void judge_few_bytes(Key key);
  void judge_shifted();
  void follow_shifts();
  void mark_sources_of_shifts();

  bool load(std::size_t position, Page& page) const;
  bool load_ahead(ReadAhead& ahead, std::size_t position, Page& page) const;
  bool load_at(std::uint32_t process, std::uint64_t address, Page& page, ProcessMemory::Pages pages) const;
  std::size_t anchor_in(const Page& page) const;
  std::size_t differing_without_layout(const Page& one, const Page& other, std::size_t as_is) const;
  bool differs_in_few_bytes(const Page& one, const Page& other);
  bool is_shift_of(const Page& page, std::uint32_t process, std::uint64_t address) const;
  void follow(std::size_t position, std::size_t neighbour);
  void mark_shifted(std::size_t position, std::uint32_t process, std::uint64_t address);

  PageList& list_;
  Look& look_;
  const std::vector<Subject>& subjects_;
  std::mutex few_bytes_lock_;
  FewBytes few_bytes_;
  std::uint64_t few_bytes_sum_ = 0;
};

}  // namespace samepage
