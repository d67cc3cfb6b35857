/* bench-heap-main NANOSECONDS FD: writes to FD, as a 64-bit integer, how long ago CLOCK_MONOTONIC read
 * NANOSECONDS. Started by bench-heap-fork, it measures the time from exec to main. */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char** argv) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (argc != 3) return 2;
  const int64_t elapsed = now.tv_sec * INT64_C(1000000000) + now.tv_nsec - strtoll(argv[1], NULL, 10);
  return write(atoi(argv[2]), &elapsed, sizeof elapsed) == sizeof elapsed ? 0 : 1;
}
