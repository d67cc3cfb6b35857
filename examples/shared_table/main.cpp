// Forked workers count the words of files in one table; each takes the next file that nobody has.
//
//   count-words WORKERS FILE…
//
// A worker that is killed takes nothing with it but the rest of its file: the table stays whole, the others
// go on, and the file is named at the end.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <samepage/shared_table.hpp>
#include <string>
#include <string_view>

namespace {

struct Word {  // no pointers: a longer word is cut
  std::array<char, 24> letters{};
  explicit Word(std::string_view text) { text.copy(letters.data(), letters.size()); }
  bool operator==(const Word&) const = default;
};
struct WordHash {
  std::size_t operator()(const Word& word) const {
    return std::hash<std::string_view>{}({word.letters.data(), word.letters.size()});
  }
};
using Words = samepage::SharedTable<Word, std::uint64_t, WordHash>;

enum class State : int { nobodys, taken, counted };
using Files = samepage::SharedTable<int, State>;  // by their place on the command line

bool take(Files& files, int file) {
  bool mine = false;
  return files.update(file, [&](State& state) {
    mine = state == State::nobodys;
    if (mine) state = State::taken;
  }) && mine;
}

bool count(const char* file, Words& words) {
  std::ifstream stream(file);
  for (std::string word; stream >> word;)
    if (!words.update(Word(word), [](std::uint64_t& times) { ++times; })) return false;
  return stream.eof();
}

int work(int argc, char** argv, Words& words, Files& files) {
  for (int file = 2; file < argc; ++file) {
    if (!take(files, file)) continue;
    if (!count(argv[file], words)) return 1;
    if (!files.update(file, [](State& state) { state = State::counted; })) return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int workers = argc > 2 ? std::atoi(argv[1]) : 0;
  if (workers < 1) {
    std::fputs("usage: count-words WORKERS FILE...\n", stderr);
    return 2;
  }
  Words words = Words::anonymous(1'000'000);
  Files files = Files::anonymous(static_cast<std::size_t>(argc));
  for (int i = 0; i < workers; ++i)
    if (fork() == 0) _exit(work(argc, argv, words, files));
  while (wait(nullptr) > 0) {
  }
  words.for_each([](const Word& word, std::uint64_t times) {
    std::printf("%8ju %.24s\n", static_cast<std::uintmax_t>(times), word.letters.data());
  });
  int status = 0;
  for (int file = 2; file < argc; ++file) {
    if (files.find(file) == State::counted) continue;
    std::fprintf(stderr, "count-words: %s: not counted, or in part\n", argv[file]);
    status = 1;
  }
  return status;
}
