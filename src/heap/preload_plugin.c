/* A plugin for preload_test: allocates and frees in itself and across its border. */
#include <stdlib.h>
#include <string.h>

__attribute__((visibility("default"))) void plugin_free(void* p) {
  free(p);
}
__attribute__((visibility("default"))) char* plugin_copy(const char* text) {
  return strdup(text);
}
