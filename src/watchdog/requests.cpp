#include "watchdog/requests.hpp"

#include <algorithm>
#include <charconv>

namespace samepage {

std::optional<pid_t> parse_burst_request(std::string_view line) {
  constexpr std::string_view kVerb = "burst ";
  if (!line.starts_with(kVerb) || !line.ends_with('\n')) return std::nullopt;
  const std::string_view digits = line.substr(kVerb.size(), line.size() - kVerb.size() - 1);
  pid_t pid = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), pid);
  if (error != std::errc{} || end != digits.data() + digits.size() || pid <= 0) return std::nullopt;
  return pid;
}

BurstRequests::BurstRequests(const std::filesystem::path& socket, ProcFs proc)
    : socket_(socket, 255, [](const std::string& text) { return text.find('\n') != std::string::npos; }),
      proc_(std::move(proc)) {}

std::vector<pid_t> BurstRequests::take(double seconds) {
  for (LocalRequest& request : socket_.take(seconds)) {
    const auto pid = parse_burst_request(request.text);
    if (!pid) {
      answer(std::move(request), "no unknown request\n");
      continue;
    }
    const auto status = proc_.status(*pid);
    if (request.user != 0 && (!status || status->uid != request.user))
      answer(std::move(request), "no not your process\n");
    else
      asked_.push_back({*pid, std::move(request)});
  }
  std::vector<pid_t> pids;
  for (const Asked& asked : asked_)
    if (std::find(pids.begin(), pids.end(), asked.pid) == pids.end()) pids.push_back(asked.pid);
  return pids;
}

void BurstRequests::answer_all(const std::vector<Decision>& decisions) {
  for (Asked& asked : std::exchange(asked_, {})) {
    const auto found = std::find_if(decisions.begin(), decisions.end(), [&](const Decision& decision) {
      return decision.pid == asked.pid &&
             (decision.what == Decision::What::accept || decision.what == Decision::What::decline);
    });
    if (found == decisions.end()) continue;
    const bool accepted = found->what == Decision::What::accept;
    answer(std::move(asked.request), (accepted ? "ok " : "no ") + found->reason + "\n");
  }
}

}  // namespace samepage
