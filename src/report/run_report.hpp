#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "group/group.hpp"
#include "samepage/census.hpp"

namespace samepage {

/// The memory of a group against that of the same programs run plainly, in kB.
struct Saving {
  std::uint64_t together_kb, alone_kb;
  bool estimated;  ///< alone was not measured

  std::int64_t saved_kb() const { return static_cast<std::int64_t>(alone_kb - together_kb); }
};

/// `alone_kb`: what a plain run measured, if one did.
std::optional<Saving> saving_of(const std::optional<GroupTotals>& totals,
                                std::optional<std::uint64_t> alone_kb);

/// The table at the end of a run: a row per process, then who failed, then the sum. Ends with a line's end.
std::string run_table(const GroupResult& result, std::optional<std::uint64_t> alone_kb);

/// The line that a terminal shows meanwhile.
std::string status_line(const GroupTotals& totals);

/// The same as data; its keys are in docs/run.md.
/// `why` is what a census of the group said, if one was taken.
std::string run_json(const GroupResult& result, std::optional<std::uint64_t> alone_kb,
                     const std::optional<Census>& why = std::nullopt);

/// together_kb of the JSON file of an earlier run. Throws UsageError.
std::uint64_t together_in(const std::filesystem::path& json);

}  // namespace samepage
