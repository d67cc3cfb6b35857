#pragma once

#include <string>
#include <vector>

#include "ksm/knobs.hpp"
#include "ksm/ledger.hpp"

namespace samepage {

/// What must be changed for ksmd to work fast, given how things stand. Settings that are fast enough stay.
///
/// 20 000 pages between naps of 5 ms let ksmd use nearly a core, also while it passes over what is merged (5
/// ms for 20 000 pages). At its own nice 5 it would starve beside programs that compute on all cores.
/// Measured with 4 such processes of 500 MB, all equal, on 2 cores, Linux 6.18: 23 s from start to end of a
/// burst at nice 5, 11 s at -5, 6 s of ksmd's CPU in either; 1501 of 1501 MB merged.
std::vector<KsmChange> changes_for_burst(const KsmKnobs& knobs);

void apply_changes(const std::vector<KsmChange>& changes, const KsmKnobs& knobs);

/// Puts back, last change first, what still has the value that we gave it.
void undo_changes(const std::vector<KsmChange>& changes, const KsmKnobs& knobs);

}  // namespace samepage
