#define _GNU_SOURCE
#include "store/rest.h"

#include <stdlib.h>

#include "store/system.h"

enum { OF_SECOND = 1000000000, BUSY_MOST = 5 /* one of so many */ };

/* 12345.67, in whatever language the program speaks. */
static int64_t number(char** at) {
  const int64_t whole = strtoll(*at, at, 10);
  const int64_t hundredths = **at == '.' ? strtoll(*at + 1, at, 10) : 0;
  return whole * OF_SECOND + hundredths * (OF_SECOND / 100);
}

store_rest store_rest_now(void) {
  char text[64], *at = text;
  if (!store_read_text("/proc/uptime", text, sizeof text)) return (store_rest){0, 0};
  const int64_t time = number(&at);
  return (store_rest){time, number(&at)};
}

bool store_at_rest_since(const store_rest* then) {
  const store_rest now = store_rest_now();
  const int64_t all = (now.time - then->time) * sysconf(_SC_NPROCESSORS_ONLN);
  return all > 0 && now.idle - then->idle >= all - all / BUSY_MOST;
}
