#include "census/sums.hpp"

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace samepage {
namespace {

std::uint64_t scaled(std::uint64_t bytes, double scale) {
  return static_cast<std::uint64_t>(std::llround(static_cast<double>(bytes) * scale));
}

void scale_by(ClassSums& sums, double scale) {
  for (ClassSum& sum : sums) {
    sum.bytes = scaled(sum.bytes, scale);
    sum.excess = scaled(sum.excess, scale);
  }
}

void add(ClassSums& sums, const ClassSums& more) {
  for (std::size_t i = 0; i < sums.size(); ++i) {
    sums[i].bytes += more[i].bytes;
    sums[i].excess += more[i].excess;
  }
}

std::uint64_t bytes_in(const ClassSums& sums) {
  std::uint64_t bytes = 0;
  for (const ClassSum& sum : sums) bytes += sum.bytes;
  return bytes;
}

/// Standard error of a sum over the sample's subsets, each of which is an estimate of its own.
std::uint64_t standard_error(const std::array<double, Sample::kSubsets>& subsets) {
  constexpr double n = Sample::kSubsets;
  double mean = 0, squares = 0;
  for (const double subset : subsets) mean += subset / n;
  for (const double subset : subsets) squares += (subset - mean) * (subset - mean);
  // The sum is n times the subsets' mean, whose variance is squares / (n - 1) / n.
  return static_cast<std::uint64_t>(std::llround(n * std::sqrt(squares / (n - 1) / n)));
}

}  // namespace

void sum_up(const PageList& list, const std::vector<Subject>& subjects,
            const std::vector<std::size_t>& told_at, Census& census) {
  std::unordered_map<std::string, CensusMapping> mappings;
  std::vector<ClassSums> sums(subjects.size());
  std::vector<std::uint64_t> private_bytes(subjects.size());
  std::array<double, Sample::kSubsets> subsets{};
  for (const PageList::Run& run : list.runs()) {
    const Subject& subject = subjects[run.process];
    const Mapping& mapping = subject.mappings()[run.mapping];
    ClassSums of_run{};
    for (std::uint32_t i = 0; i < run.pages; ++i) {
      const std::size_t page = run.first + i;
      ClassSum& sum = of_run[static_cast<std::size_t>(list.class_of(page))];
      sum.bytes += kPageSize;
      if (list.is_private(page)) private_bytes[run.process] += kPageSize;
      if (!list.has(page, PageList::kExcess)) continue;
      sum.excess += kPageSize;
      const std::uint64_t page_in_mapping = (run.address - mapping.start) / kPageSize + i;
      subsets[Sample::subset(subject.place_of(run.mapping), page_in_mapping)] += kPageSize * subject.scale();
    }
    add(sums[run.process], of_run);
    scale_by(of_run, subject.scale());
    CensusMapping& named = mappings[mapping.name.empty() ? "anonymous" : mapping.name];
    add(named.classes, of_run);
  }
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    CensusProcess& process = census.processes[told_at[i]];
    scale_by(sums[i], subjects[i].scale());
    process.classes = sums[i];
    process.rss = bytes_in(sums[i]);
    process.private_bytes = scaled(private_bytes[i], subjects[i].scale());
    add(census.classes, sums[i]);
    census.together += process.pss + subjects[i].swapped_pss();
    census.rss += process.rss;
  }
  for (auto& [name, mapping] : mappings) {
    mapping.name = name;
    mapping.rss = bytes_in(mapping.classes);
    census.mappings.push_back(std::move(mapping));
  }
  std::sort(census.mappings.begin(), census.mappings.end(),
            [](const CensusMapping& a, const CensusMapping& b) {
              return a.rss != b.rss ? a.rss > b.rss : a.name < b.name;
            });
  if (census.sampled < 1) census.error = standard_error(subsets);
}

}  // namespace samepage
