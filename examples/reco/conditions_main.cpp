#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "conditions.hpp"
#include "invent_conditions.hpp"
#include "new_file.hpp"
#include "units.hpp"

/// reco-conditions: writes the conditions database that reco reads.
int main(int argc, char** argv) {
  CLI::App app("Writes an SQLite database of invented detector conditions for reco.", "reco-conditions");
  std::string path;
  double megabytes = 500;
  std::uint64_t seed = 1;
  app.add_option("FILE", path, "where to write it; kept as it is if it exists")->required();
  app.add_option("--conditions-mb", megabytes,
                 "memory that the loaded conditions take (experiments: 200 to 2000)")
      ->check(CLI::Range(16, 8000))
      ->capture_default_str();
  app.add_option("--seed", seed, "the same seed gives the same constants")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  try {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) {
      std::printf("reco-conditions: %s is already there\n", path.c_str());
      return 0;
    }
    reco::NewFile file(path);
    reco::invent_conditions(file.unfinished_path(), {reco::granularity_for(megabytes), seed});
    file.commit();
    return 0;
  } catch (const reco::UsageError& error) {
    std::fprintf(stderr, "reco-conditions: %s\n", error.what());
    return 2;
  }
}
