#define _GNU_SOURCE
#include "heap/config.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap/ksm_advice.h"
#include "heap/phase.h"

heap_configuration heap_config = {
    .ksm_min = 1 << 20, .settle_auto = true, .settle_quiet_ms = 2000, .settle_min = 32 << 20};

void heap_config_complain(const char* name, const char* value, const char* wanted) {
  char line[256];
  int length = snprintf(line, sizeof line, "samepage: %s=%.60s: expected %s; ignored\n", name, value, wanted);
  if (length > 0 && write(2, line, (size_t)length) < 0) return;
}

void heap_config_size(const char* name, size_t* size) {
  const char* text = secure_getenv(name);
  if (!text) return;
  char* end;
  unsigned long long number = strtoull(text, &end, 10);
  int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
  if (end == text || text[0] == '-' || (shift ? end[1] : *end) || number > SIZE_MAX >> shift)
    heap_config_complain(name, text, "a size such as 32M");
  else
    *size = (size_t)number << shift;
}

int heap_config_choice(const char* name, const char* const* choices, const char* wanted, int otherwise) {
  const char* text = secure_getenv(name);
  if (!text || !*text) return otherwise;
  for (int i = 0; choices[i]; ++i)
    if (strcmp(text, choices[i]) == 0) return i;
  heap_config_complain(name, text, wanted);
  return otherwise;
}

const char* heap_config_path(const char* name) {
  const char* path = secure_getenv(name);
  return path && *path ? strdup(path) : NULL; /* programs overwrite their environment for ps */
}

/* A malloc that the program brings itself wins over a preloaded one. */
static void name_other_malloc(void) {
  const char* verbose = secure_getenv("SAMEPAGE_VERBOSE");
  if (!verbose || strcmp(verbose, "1") != 0) return;
  Dl_info theirs, ours;
  void* found = dlsym(RTLD_DEFAULT, "malloc");
  if (!found || !dladdr(found, &theirs) || !dladdr(&heap_config, &ours) || theirs.dli_fbase == ours.dli_fbase)
    return;
  char line[512];
  int length =
      snprintf(line, sizeof line, "samepage: %.400s brings its own malloc: its memory is not kept apart\n",
               theirs.dli_fname);
  if (length > 0 && write(2, line, (size_t)length) < 0) return;
}

__attribute__((constructor)) static void read_environment(void) {
  heap_thread_enter();
  heap_config.ksm = (heap_ksm_mode)heap_config_choice("SAMEPAGE_KSM",
                                                      (const char* const[]){"none", "constant", "all", NULL},
                                                      "none, constant or all", HEAP_KSM_NONE);
  heap_config.settle_auto =
      !heap_config_choice("SAMEPAGE_SETTLE", (const char* const[]){"auto", "off", NULL}, "auto or off", 0);
  heap_config_size("SAMEPAGE_KSM_MIN", &heap_config.ksm_min);
  heap_config_size("SAMEPAGE_SETTLE_MIN", &heap_config.settle_min);
  const char* quiet = secure_getenv("SAMEPAGE_SETTLE_QUIET");
  if (quiet) {
    char* end;
    double seconds = strtod(quiet, &end);
    if (end == quiet || *end || !(seconds >= 0 && seconds < 1e6))
      heap_config_complain("SAMEPAGE_SETTLE_QUIET", quiet, "a time in seconds such as 2");
    else
      heap_config.settle_quiet_ms = (int64_t)(seconds * 1000);
  }
  heap_config.settle_file = heap_config_path("SAMEPAGE_SETTLE_FILE");
  heap_ksm_advise(heap_config.ksm, heap_config.ksm_min);
  name_other_malloc();
  heap_config.known = true;
}
