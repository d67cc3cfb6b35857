#include <samepage/census.hpp>

namespace samepage {
namespace {

struct Words {
  const char* name;
  const char* words;
};

constexpr std::array<Words, kPageClasses> kWords = {{
    {"shared_fork", "shared by fork"},
    {"shared_file", "shared by file"},
    {"shared_ksm", "shared by KSM"},
    {"shared_store", "shared by the store"},
    {"zero", "full of zeros"},
    {"unique", "unique"},
    {"changing", "changing all the time"},
    {"not_registered", "equal, but not registered with KSM"},
    {"not_scanned", "equal, but not merged by KSM yet"},
    {"huge_page", "equal, but in a huge page"},
    {"never_merged", "equal to a file's or shared memory"},
    {"library_data", "equal, data of libraries"},
    {"over_max_sharing", "merged, but over max_page_sharing"},
    {"pinned", "equal, but pinned or locked"},
    {"pointers", "equal but for pointers"},
    {"few_bytes", "equal but for a few bytes"},
    {"shifted", "equal but shifted"},
    {"unread", "could not be read"},
}};

}  // namespace

const char* name_of(PageClass page_class) {
  return kWords[static_cast<std::size_t>(page_class)].name;
}

const char* words_of(PageClass page_class) {
  return kWords[static_cast<std::size_t>(page_class)].words;
}

}  // namespace samepage
