/* jemalloc 5.3 from Debian's libjemalloc_pic.a, its entry points renamed je_* at build time (see
 * CMakeLists.txt), so that ours can carry the public names. */
#pragma once
#define JEMALLOC_NO_DEMANGLE
#define JEMALLOC_NO_RENAME
#include <jemalloc/jemalloc.h>
