/// What differs between processors when a call is made in a stopped thread's name.
#pragma once

#if defined(__x86_64__)
#include "linux/registers_x86_64.hpp"
#elif defined(__aarch64__)
#include "linux/registers_aarch64.hpp"
#else
#error "adoption is written for x86-64 and aarch64: add a registers_ header for this processor"
#endif
