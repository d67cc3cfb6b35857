#pragma once

#include "census/look.hpp"

namespace samepage {

/// The first steps: which pages hold the same bytes, and why those that do are not shared.

/// Marks all but one page of each frame as followers, which need not be read.
void find_followers(PageList& list, unsigned threads);

/// The first look: fingerprints of all pages, private pages full of zeros get their class.
void read_contents(PageList& list, Look& look);

struct Contents {
  std::uint64_t distinct = 0;
  std::uint64_t most_pages = 0;  ///< that hold the same content, zeros apart
  std::size_t most_position = 0;
};

/// Marks the pages whose content another page has too (kEqual).
Contents find_equal(PageList& list, unsigned threads);

/// The second look at private pages: those that differ from the first are `changing`. Those that no other
/// page equals are prepared for being compared otherwise: `content` without layout, `frame` an anchor.
void look_again(PageList& list, Look& look, const std::vector<Subject>& subjects);

/// Gives each page that is equal to another its class: why it is not shared. kFirst marks one of each
/// content.
void judge_equal(PageList& list, const std::vector<Subject>& subjects, unsigned threads);

}  // namespace samepage
