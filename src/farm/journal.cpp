#include "farm/journal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "farm/appended_file.hpp"
#include "farm/encoding.hpp"
#include "linux/system_call.hpp"
#include "samepage/farm.hpp"

namespace samepage::farm {

namespace {

constexpr std::string_view kMagic = "samepage farm journal 1\n";

std::uint64_t checksum(std::string_view text) {
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace

std::string encode(const Committed& state, std::string_view identity) {
  Encoder body;
  body.string(identity);
  body.number(state.events);
  body.number(state.quarantined);
  body.number(state.quarantine_bytes);
  body.string(state.sink);
  body.string(state.merged);
  body.number(state.complete ? 1 : 0);
  body.number(state.ahead.size());
  for (const Committed::Ahead& ahead : state.ahead) {
    body.number(ahead.first_index);
    body.number(ahead.events);
    body.string(ahead.merged);
  }
  const std::string text = body.take();
  Encoder whole;
  whole.number(checksum(text));
  whole.string(text);
  return std::string(kMagic) + whole.take();
}

std::optional<Committed> Journal::read() const {
  if (!std::filesystem::exists(file_)) return std::nullopt;
  std::ostringstream content;
  if (std::ifstream stream(file_, std::ios::binary); !stream || !(content << stream.rdbuf()))
    throw JobError("cannot read the journal " + file_.string());
  const std::string all = content.str();
  const auto refuse = [&](const char* why) { throw JobError("the journal " + file_.string() + " " + why); };
  if (!std::string_view(all).starts_with(kMagic)) refuse("is not a journal of this version");
  Decoder whole(std::string_view(all).substr(kMagic.size()));
  const std::uint64_t sum = whole.number();
  const std::string_view text = whole.string();
  if (!whole.ok() || !whole.at_end() || checksum(text) != sum) refuse("is damaged");
  Decoder body(text);
  if (body.string() != identity_) refuse("is of another job: its input, seed or settings differ");
  Committed state;
  state.events = body.number();
  state.quarantined = body.number();
  state.quarantine_bytes = body.number();
  state.sink = body.string();
  state.merged = body.string();
  state.complete = body.number() != 0;
  for (std::uint64_t left = body.number(); left > 0 && body.ok(); --left) {
    const std::uint64_t first = body.number(), events = body.number();
    state.ahead.push_back({first, events, std::string(body.string())});
  }
  if (!body.ok() || !body.at_end()) refuse("is damaged");
  return state;
}

void Journal::write(const Committed& state) const {
  const std::string text = encode(state, identity_);
  AppendedFile next(file_.string() + ".next");
  next.open(0);
  next.append(std::as_bytes(std::span(text.data(), text.size())));
  next.commit();
  if (std::rename(next.path().c_str(), file_.c_str()) < 0)
    throw JobError("cannot write the journal " + file_.string() + ": " + error_text(errno));
  sync_folder_of(file_);
}

void Journal::remove() const {
  std::error_code gone;
  std::filesystem::remove(file_, gone);
  std::filesystem::remove(file_.string() + ".next", gone);
}

}  // namespace samepage::farm
