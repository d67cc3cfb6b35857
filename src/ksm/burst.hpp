#pragma once

#include <string>
#include <vector>

#include "ksm/knobs.hpp"
#include "ksm/ledger.hpp"

namespace samepage {

/// What must be changed for ksmd to work fast, given how things stand. Settings that are fast enough stay.
///
/// 20 000 pages between naps of 20 ms let ksmd use nearly a core. At its own nice 5 it would starve beside
/// programs that compute on all cores, so it is raised to kBurstNice.
std::vector<KsmChange> changes_for_burst(const KsmKnobs& knobs);

void apply_changes(const std::vector<KsmChange>& changes, const KsmKnobs& knobs);

/// Puts back, last change first, what still has the value that we gave it.
void undo_changes(const std::vector<KsmChange>& changes, const KsmKnobs& knobs);

}  // namespace samepage
