/* How a launcher holds a store for the processes that it starts: memory files that it keeps open, found by
 * them at /proc/PID/fd/N. The first is the control area (control.h), STORE_CONTROL bytes, all zero, sealed
 * against a change of its size; `count` more, of STORE_BLOCK bytes each, follow under consecutive numbers,
 * empty and not sealed. It may put an empty one in the place of a file that nobody maps any more, once the
 * control area says STORE_ABANDONED.
 *
 * The variable says VERSION:PID:FIRST:COUNT, and STORE_HOLDER_JOINED after it where independent jobs share
 * the files, who may come at any time, and STORE_HOLDER_ACROSS where processes that are in another cgroup
 * than the launcher may use it too. Who does not know the version keeps out. Also read by C++. */
#pragma once

#define STORE_HOLDER_VARIABLE "SAMEPAGE_STORE_AT"
#define STORE_HOLDER_VERSION 3
#define STORE_HOLDER_JOINED ":joined"
#define STORE_HOLDER_ACROSS ":across"
#define STORE_FILE_NAME "samepage-store"
#define STORE_MAPPING_NAME "/memfd:" STORE_FILE_NAME /* what /proc/PID/maps begins to call it */

enum {
  STORE_FILES = 192,     /* 6 GB of constants; so many descriptors and some go in one message (unix(7)) */
  STORE_NOTES = 1 << 14, /* where the notes begin in the control area */
  STORE_CONTROL = STORE_NOTES + STORE_FILES * (64 << 10),
};
