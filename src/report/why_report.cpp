#include "report/why_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "report/human_size.hpp"
#include "report/text_table.hpp"

namespace samepage {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostProcesses = 20, kMostMappings = 10;

std::string size_of(std::uint64_t bytes) {
  return bytes ? human_size(bytes / 1024) : "-";
}

std::uint64_t sum_of(const ClassSums& sums, PageClass page_class) {
  return sums[static_cast<std::size_t>(page_class)].bytes;
}

std::string processes_table(const Census& census) {
  TextTable table({"pid", "process", "RSS", "PSS", "private", "by fork", "by file", "by KSM", "by store",
                   "swapped", "huge pages"},
                  {Align::right, Align::left, Align::right, Align::right, Align::right, Align::right,
                   Align::right, Align::right, Align::right, Align::right, Align::right});
  std::vector<const CensusProcess*> processes;
  for (const CensusProcess& process : census.processes)
    if (process.rss) processes.push_back(&process);
  std::stable_sort(processes.begin(), processes.end(),
                   [](const auto* a, const auto* b) { return a->rss > b->rss; });
  for (std::size_t i = 0; i < std::min(processes.size(), kMostProcesses); ++i) {
    const CensusProcess& process = *processes[i];
    table.add({std::to_string(process.pid), process.name, size_of(process.rss), size_of(process.pss),
               size_of(process.private_bytes), size_of(sum_of(process.classes, PageClass::shared_fork)),
               size_of(sum_of(process.classes, PageClass::shared_file)),
               size_of(sum_of(process.classes, PageClass::shared_ksm)),
               size_of(sum_of(process.classes, PageClass::shared_store)), size_of(process.swapped),
               size_of(process.huge + process.hugetlb)});
  }
  std::string text = table.text();
  if (processes.size() > kMostProcesses)
    text += fmt::format("and {} smaller ones\n", processes.size() - kMostProcesses);
  return text;
}

std::string classes_table(const Census& census) {
  TextTable table({"memory", "bytes", "could go"}, {Align::left, Align::right, Align::right});
  for (std::size_t c = 0; c < kPageClasses; ++c)
    if (census.classes[c].bytes)
      table.add({words_of(static_cast<PageClass>(c)), size_of(census.classes[c].bytes),
                 size_of(census.classes[c].excess)});
  return table.text();
}

std::string few_bytes_line(const FewBytes& few) {
  if (!few.pages) return "";
  // Objects have what changes at the same few places: those offsets that hold most of the difference.
  std::vector<std::size_t> offsets;
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < few.offsets.size(); ++i) {
    all += few.offsets[i];
    if (few.offsets[i]) offsets.push_back(i);
  }
  std::stable_sort(offsets.begin(), offsets.end(),
                   [&](std::size_t a, std::size_t b) { return few.offsets[a] > few.offsets[b]; });
  std::string most;
  for (std::size_t i = 0; i < std::min<std::size_t>(offsets.size(), 4); ++i)
    most += fmt::format("{}{} ({:.0f} %)", i ? ", " : "", offsets[i],
                        100 * static_cast<double>(few.offsets[offsets[i]]) / static_cast<double>(all));
  return fmt::format(
      "Pages equal but for a few bytes differ in {:.0f} bytes on average, {} at most; most often at "
      "these offsets modulo 64: {}.\n",
      few.mean, few.most, most);
}

std::string mappings_table(const Census& census) {
  TextTable table({"mapping", "RSS", "could go", "mostly"},
                  {Align::left, Align::right, Align::right, Align::left});
  struct Row {
    const CensusMapping* mapping;
    std::uint64_t excess = 0;
    std::size_t mostly = 0;
  };
  std::vector<Row> rows;
  for (const CensusMapping& mapping : census.mappings) {
    Row row{&mapping};
    for (std::size_t c = 0; c < kPageClasses; ++c) {
      row.excess += mapping.classes[c].excess;
      if (mapping.classes[c].excess > mapping.classes[row.mostly].excess) row.mostly = c;
    }
    if (row.excess) rows.push_back(row);
  }
  if (rows.empty()) return "";
  std::stable_sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.excess > b.excess; });
  for (std::size_t i = 0; i < std::min(rows.size(), kMostMappings); ++i)
    table.add({rows[i].mapping->name, size_of(rows[i].mapping->rss), size_of(rows[i].excess),
               words_of(static_cast<PageClass>(rows[i].mostly))});
  return "\n" + table.text();
}

std::string findings_lines(const Census& census) {
  std::string text;
  for (const Finding& finding : census.findings)
    text += fmt::format("{} {}: {}.\n", human_size(finding.excess / 1024), words_of(finding.page_class),
                        finding.mend);
  return text;
}

Json classes_json(const ClassSums& sums) {
  Json json = Json::object();
  for (std::size_t c = 0; c < kPageClasses; ++c)
    if (sums[c].bytes || sums[c].excess)
      json[name_of(static_cast<PageClass>(c))] = {{"bytes", sums[c].bytes}, {"excess_bytes", sums[c].excess}};
  return json;
}

}  // namespace

std::string why_table(const Census& census) {
  std::string text = census.headline + "\n";
  if (census.rss) {
    text += "\n" + processes_table(census) + "\n" + classes_table(census);
    text += fmt::format(
        "\n{} RSS, {} together; one copy of each of {} contents would be {}; equal and not shared {}\n",
        human_size(census.rss / 1024), human_size(census.together / 1024), census.contents,
        human_size(census.ideal / 1024), human_size(census.duplicate / 1024));
    if (census.seen_most.pages > 1)
      text += fmt::format("The content seen most is in {} pages, one at {:#x} of process {}.\n",
                          census.seen_most.pages, census.seen_most.address, census.seen_most.pid);
    if (census.error)
      text += fmt::format("A sample of {:.1f} % was looked at; what could go is known to ± {}.\n",
                          census.sampled * 100, human_size(*census.error / 1024));
    text += few_bytes_line(census.few_bytes) + mappings_table(census);
    if (!census.findings.empty()) text += "\n" + findings_lines(census);
  }
  if (!census.troubles.empty()) text += census.rss ? "\nThis answer is partial:\n" : "";
  for (const std::string& trouble : census.troubles) text += trouble + "\n";
  return text;
}

std::string why_lines(const Census& census) {
  return fmt::format("ideal: {} with one copy of each page's content, reached: {}\n",
                     human_size(census.ideal / 1024), human_size(census.together / 1024)) +
         findings_lines(census);
}

std::string why_json(const Census& census) {
  Json processes = Json::array(), mappings = Json::array(), findings = Json::array();
  for (const CensusProcess& process : census.processes)
    processes.push_back({{"pid", process.pid},
                         {"name", process.name},
                         {"command", process.command},
                         {"rss_bytes", process.rss},
                         {"pss_bytes", process.pss},
                         {"private_bytes", process.private_bytes},
                         {"swapped_bytes", process.swapped},
                         {"huge_bytes", process.huge},
                         {"hugetlb_bytes", process.hugetlb},
                         {"classes", classes_json(process.classes)},
                         {"trouble", process.trouble.empty() ? Json(nullptr) : Json(process.trouble)}});
  for (const CensusMapping& mapping : census.mappings)
    mappings.push_back(
        {{"name", mapping.name}, {"rss_bytes", mapping.rss}, {"classes", classes_json(mapping.classes)}});
  for (const Finding& finding : census.findings)
    findings.push_back({{"class", name_of(finding.page_class)},
                        {"words", words_of(finding.page_class)},
                        {"bytes", finding.bytes},
                        {"excess_bytes", finding.excess},
                        {"mend", finding.mend}});
  const Json report = {
      {"answer", census.headline},
      {"partial", !census.troubles.empty()},
      {"troubles", census.troubles},
      {"rss_bytes", census.rss},
      {"together_bytes", census.together},
      {"ideal_bytes", census.ideal},
      {"within_reach_bytes", census.within_reach},
      {"duplicate_bytes", census.duplicate},
      {"zero_mapped_bytes", census.zero_mapped},
      {"contents", census.contents},
      {"seen_most",
       {{"pages", census.seen_most.pages},
        {"pid", census.seen_most.pid},
        {"address", census.seen_most.address}}},
      {"classes", classes_json(census.classes)},
      {"few_bytes",
       {{"pages", census.few_bytes.pages},
        {"with_pointers", census.few_bytes.with_pointers},
        {"mean", census.few_bytes.mean},
        {"most", census.few_bytes.most},
        {"offsets", census.few_bytes.offsets}}},
      {"findings", findings},
      {"processes", processes},
      {"mappings", mappings},
      {"sampled", census.sampled},
      {"error_bytes", census.error ? Json(*census.error) : Json(nullptr)},
      {"seconds", census.seconds},
      {"bytes_read", census.bytes_read},
  };
  // A command line and a path may hold any bytes.
  return report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace samepage
