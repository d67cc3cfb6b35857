#include "report/run_report.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "report/human_size.hpp"

namespace samepage {
namespace {

GroupResult two_copies() {
  GroupResult result;
  result.ends = {{1, 137, "killed by SIGKILL"}, {0, 0, ""}};
  GroupTotals totals;
  totals.time = 0;
  totals.copies = 2;
  totals.processes = 2;
  totals.together_kb = 120'000;
  totals.alone_kb = 200'000;
  totals.settled = true;
  result.totals = totals;
  result.samples = {totals};
  ProcessRow first;
  first.pid = 10;
  first.ppid = 9;
  first.name = "reco";
  first.exit_code = 0;
  first.peak_rss_kb = 100'000;
  first.private_kb = 20'000;
  first.library_data_kb = 1'000;
  first.shared_kb = 80'000;
  first.shared_data_kb = 70'000;
  first.counted = true;
  ProcessRow second = first;
  second.copy = 1;
  second.pid = 11;
  second.exit_code = std::nullopt;
  second.signal = 9;
  second.private_kb = second.library_data_kb = std::nullopt;
  second.own_layout = true;
  result.rows = {first, second};
  return result;
}

TEST(RunTable, IsAligned) {
  setenv("TZ", "UTC", 1);
  EXPECT_EQ(run_table(two_copies(), std::nullopt),
            "copy  process                    pid  peak RSS  private  of it libraries  shared  of it data    "
            " exit\n"
            "   0  reco                        10    102 MB    20 MB           1.0 MB   82 MB       72 MB    "
            "    0\n"
            "   1  reco (exec'd: own layout)   11    102 MB        -                -   82 MB       72 MB  "
            "SIGKILL\n"
            "exec'd: by a start script? Name the program that it starts, or keep one layout: --layout fixed\n"
            "copy 1: killed by SIGKILL\n"
            "2 copies, 2 processes: together 123 MB, alone 205 MB (estimated), saved 82 MB (40 %), at "
            "00:00:00 when "
            "all had settled\n");
}

TEST(RunTable, NamesAMeasuredAloneAsSuch) {
  EXPECT_NE(run_table(two_copies(), 150'000).find("alone 154 MB, saved 31 MB (20 %)"), std::string::npos);
}

TEST(RunTable, SaysWhenNothingWasMeasured) {
  GroupResult result;
  result.ends = {{0, 0, ""}};
  EXPECT_NE(run_table(result, std::nullopt).find("1 copy: too short-lived to be measured\n"),
            std::string::npos);
}

TEST(RunJson, HasTheKeys) {
  const auto report = nlohmann::json::parse(run_json(two_copies(), std::nullopt));
  EXPECT_EQ(report["saved_kb"], 80'000);
  EXPECT_EQ(report["measured_at"], "1970-01-01T00:00:00Z");
  EXPECT_EQ(report["processes"][1]["signal"], 9);
  EXPECT_TRUE(report["processes"][1]["private_kb"].is_null());
  EXPECT_EQ(report["processes"][0]["library_data_kb"], 1'000);
  EXPECT_EQ(report["samples"].size(), 1u);
}

TEST(RunJson, TakesACommandLineOfAnyBytes) {
  GroupResult result = two_copies();
  result.rows[0].command = "\xff\xfe";
  EXPECT_FALSE(nlohmann::json::parse(run_json(result, std::nullopt)).empty());
}

TEST(HumanSize, HasThreeDigits) {
  EXPECT_EQ(human_size(0), "0.0 MB");
  EXPECT_EQ(human_size(597'656), "612 MB");
  EXPECT_EQ(human_size(1'933'594), "1.98 GB");
  EXPECT_EQ(human_size(20'000'000), "20.5 GB");
}

}  // namespace
}  // namespace samepage
