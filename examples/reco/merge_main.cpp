#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "new_file.hpp"
#include "result.hpp"
#include "units.hpp"

namespace {

std::string content(const std::string& path) {
  std::ostringstream text;
  if (std::ifstream file(path); !file || !(text << file.rdbuf()))
    throw reco::UsageError("cannot read " + path);
  return text.str();
}

}  // namespace

/// reco-merge: one result from the results of disjoint slices, the same bytes that one job would have
/// written.
int main(int argc, char** argv) {
  CLI::App app("Merges results of reco over disjoint slices.", "reco-merge");
  std::string out;
  std::vector<std::string> parts;
  app.add_option("--out", out, "the merged result")->required();
  app.add_option("PART", parts, "results to merge")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    std::vector<reco::Result> results;
    for (const std::string& part : parts) results.push_back(reco::from_text(content(part), part));
    reco::NewFile file(out);
    file.write(to_text(merge(results)));
    file.commit();
    return 0;
  } catch (const reco::UsageError& error) {
    std::fprintf(stderr, "reco-merge: %s\n", error.what());
    return 2;
  }
}
