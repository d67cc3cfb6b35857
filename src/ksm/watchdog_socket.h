/* samepage watchdog as its clients see it: libsamepage.so, which links libc alone, and samepage run. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* A non-blocking connection to the watchdog that listens at `path`, to be closed by the caller; -1 without
 * one. Never waits: a full queue of requests is as good as no watchdog. From any thread. */
int samepage_watchdog_connect(const char* path);

#ifdef __cplusplus
}
#endif
