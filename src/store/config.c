#define _GNU_SOURCE
#include "store/config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap/config.h"
#include "store/holder.h"

store_configuration store_config = {.mode = STORE_OFF, .reshare = true, .budget = 0.02, .minimum = 16 << 20};

void store_config_read(void) {
  store_config.mode =
      (store_mode)heap_config_choice("SAMEPAGE_STORE", (const char* const[]){"auto", "manual", "off", NULL},
                                     "auto, manual or off", STORE_AUTO);
  store_config.reshare =
      !heap_config_choice("SAMEPAGE_RESHARE", (const char* const[]){"auto", "off", NULL}, "auto or off", 0);
  /* Root may have relatives that have become another user's. */
  const int layers = heap_config_choice("SAMEPAGE_RESEAL", (const char* const[]){"auto", "on", "off", NULL},
                                        "auto, on or off", 0);
  store_config.layers = layers == 1 || (layers == 0 && geteuid() != 0);
  heap_config_size("SAMEPAGE_STORE_MIN", &store_config.minimum);
  const char* budget = secure_getenv("SAMEPAGE_RESHARE_BUDGET");
  if (budget) {
    char* end;
    const double percent = strtod(budget, &end);
    if (end == budget || *end || !(percent > 0 && percent <= 100))
      heap_config_complain("SAMEPAGE_RESHARE_BUDGET", budget, "a percentage such as 2");
    else
      store_config.budget = percent / 100;
  }
  store_config.holder = heap_config_path(STORE_HOLDER_VARIABLE);
  store_config.joined = store_config.holder && strstr(store_config.holder, STORE_HOLDER_JOINED);
  store_config.across = store_config.holder && strstr(store_config.holder, STORE_HOLDER_ACROSS);
  store_config.off_file = heap_config_path("SAMEPAGE_STORE_OFF_FILE");
  store_config.statistics = heap_config_path("SAMEPAGE_STORE_STATISTICS");
}
