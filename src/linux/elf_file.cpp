#include "linux/elf_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>

#include <algorithm>
#include <memory>

#include "linux/unique_fd.hpp"

namespace samepage {
namespace {

#if defined(__x86_64__)
constexpr GElf_Half kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr GElf_Half kMachine = EM_AARCH64;
#else
#error "which e_machine is this?"
#endif

std::string interpreter_of(Elf* elf) {
  std::size_t headers = 0, size = 0;
  if (elf_getphdrnum(elf, &headers) != 0) return {};
  const char* image = elf_rawfile(elf, &size);
  for (std::size_t i = 0; i < headers; ++i) {
    GElf_Phdr header;
    if (!gelf_getphdr(elf, static_cast<int>(i), &header) || header.p_type != PT_INTERP) continue;
    if (!image || header.p_offset > size || header.p_filesz > size - header.p_offset) return {};
    const char* name = image + header.p_offset;
    return std::string(name, std::find(name, name + header.p_filesz, '\0'));
  }
  return {};
}

void read_symbols(Elf* elf, Elf_Scn* section, const GElf_Shdr& header, ElfFacts& facts) {
  Elf_Data* data = elf_getdata(section, nullptr);
  if (!data || header.sh_entsize == 0) return;
  const auto count = static_cast<int>(std::min<std::size_t>(data->d_size / header.sh_entsize, 1 << 24));
  for (int i = 0; i < count; ++i) {
    GElf_Sym symbol;
    if (!gelf_getsym(data, i, &symbol)) continue;
    const char* name = elf_strptr(elf, header.sh_link, symbol.st_name);
    if (!name) continue;
    const std::string_view text = name;
    const bool defined = symbol.st_shndx != SHN_UNDEF;
    if (!defined && header.sh_type == SHT_DYNSYM && text == "__libc_start_main") facts.starts_in_libc = true;
    if (!defined || GELF_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
    if (text == "malloc") facts.own_malloc = true;
    if (text == "_emalloc") facts.zend = true;
  }
}

}  // namespace

std::optional<ElfFacts> read_elf(const std::filesystem::path& file) {
  if (elf_version(EV_CURRENT) == EV_NONE) return std::nullopt;
  const UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  const std::unique_ptr<Elf, int (*)(Elf*)> elf(elf_begin(fd.get(), ELF_C_READ_MMAP, nullptr), elf_end);
  GElf_Ehdr header;
  if (!elf || elf_kind(elf.get()) != ELF_K_ELF || !gelf_getehdr(elf.get(), &header)) return std::nullopt;

  ElfFacts facts;
  facts.native = gelf_getclass(elf.get()) == (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32) &&
                 header.e_machine == kMachine;
  facts.interpreter = interpreter_of(elf.get());
  std::size_t names = 0;
  if (elf_getshdrstrndx(elf.get(), &names) != 0) return facts;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section));) {
    GElf_Shdr section_header;
    if (!gelf_getshdr(section, &section_header)) continue;
    const char* name = elf_strptr(elf.get(), names, section_header.sh_name);
    if (name && std::string_view(name) == ".note.go.buildid") facts.go = true;
    if (section_header.sh_type == SHT_DYNSYM || section_header.sh_type == SHT_SYMTAB)
      read_symbols(elf.get(), section, section_header, facts);
  }
  return facts;
}

}  // namespace samepage
