#include "samepage/samepage.h"

const char* samepage_version(void) {
  return SAMEPAGE_VERSION;
}

const char* samepage_error_string(int code) {
  switch (code) {
    case SAMEPAGE_OK:
      return "no error";
    case SAMEPAGE_NO_HEAP:
      return "libsamepage-heap.so is not in this process: start it with samepage run, or preload it";
    case SAMEPAGE_ALREADY_SETTLED:
      return "the process has settled before, or is a forked child";
    case SAMEPAGE_INVALID:
      return "an argument is null or out of range";
    case SAMEPAGE_NOTHING_DONE:
      return "the store left something as it was; its statistics say why";
    case SAMEPAGE_NO_KSM:
      return "this kernel has no Samepage Merging, or is too old for this part of it";
    case SAMEPAGE_SYSTEM:
      return "the system refused; errno says why";
    case SAMEPAGE_NO_WATCHDOG:
      return "samepage watchdog does not run, or does not answer";
    case SAMEPAGE_REFUSED:
      return "samepage watchdog refused";
    default:
      return "unknown error";
  }
}
