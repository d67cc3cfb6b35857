/* What the store did in this process and why it did not do more: samepage_store_stats (samepage.h), and the
 * JSON file of SAMEPAGE_STORE_STATISTICS.
 *
 * Thread-safety: only the holder of the store's lock changes them; reading unlocked may see a torn set. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "samepage/samepage.h"

extern samepage_store_stats store_statistics;

/* Something was left as it was. Returns false, for the caller to return. */
bool store_refuse(samepage_store_reason reason);

/* A thread was held up from then (store_now_ns) until now. */
void store_paused_since(int64_t began);

/* Writes PATH.PID when it is due (at most every 0.1 s), or now. Uses raw system calls alone; keeps errno. */
void store_statistics_write(const char* path, bool now);
