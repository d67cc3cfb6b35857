// Writes into constants around seals and passes: two threads, a signal handler, read(2) and recv(2) in a
// third, O_DIRECT AIO in a fourth, and io_uring with registered buffers in a fifth, whose contexts come and
// go. Every writer has bytes of its own on every page and remembers what it wrote; bytes come back often, so
// that passes have pages to give back. Prints of all rounds a line for each writer, "NAME WRITES LOST", and
// "GIVEN_BACK SEALS". store_writers ROUNDS SECONDS: the first thread seals and makes passes;
// store_writers 1 SECONDS waits: the library does, while that thread waits, for a worker that lives on.
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <samepage/samepage.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#pragma weak samepage_constant_begin
#pragma weak samepage_scope_end
#pragma weak samepage_seal
#pragma weak samepage_reshare
#pragma weak samepage_store_statistics

namespace {

constexpr std::size_t kPage = 4096, kPages = 4096, kSector = 512;
enum Writer { kFirst, kSecond, kHandler, kReader, kAsync, kRing, kWriters };
constexpr std::array<const char*, kWriters> kNames = {"thread", "thread", "handler",
                                                      "read",   "aio",    "io_uring"};

unsigned char* constants;
std::atomic<bool> over;

/// One writer's bytes. Not shared between threads.
class Cells {
 public:
  explicit Cells(Writer writer) : writer_(writer), random_(0x9e3779b97f4a7c15u + writer) {
    for (std::size_t page = 0; page < kPages; ++page) first_[page] = last_[page] = *at(page);
  }

  /// Chooses a page, looks whether the last write is there, and says what to write: mostly what was there
  /// first.
  unsigned char* choose(unsigned char& value) {
    random_ = random_ * 6364136223846793005u + 1442695040888963407u;
    page_ = (random_ >> 33) % kPages & ~std::size_t{3};  // what differs for the most part is not mapped
    if (*at(page_) != last_[page_]) ++lost;
    value = (random_ >> 60) % 4 ? first_[page_] : static_cast<unsigned char>(random_ >> 50);
    return at(page_);
  }
  void wrote(unsigned char value) {
    last_[page_] = value;
    ++writes;
  }
  void look() {
    for (std::size_t page = 0; page < kPages; ++page)
      if (*at(page) != last_[page]) ++lost;
  }

  std::uint64_t writes = 0, lost = 0;

 private:
  unsigned char* at(std::size_t page) const {
    return const_cast<unsigned char*>(constants + page * kPage + kSector * writer_);
  }

  Writer writer_;
  std::uint64_t random_;
  std::size_t page_ = 0;
  std::array<unsigned char, kPages> first_{}, last_{};
};

std::array<Cells*, kWriters> cells;

void store(Cells& own) {
  unsigned char value;
  volatile unsigned char* at = own.choose(value);
  *at = value;
  own.wrote(value);
}

void write_here(Writer writer) {
  while (!over) store(*cells[writer]);
}

/// The kernel writes: from a socket, by read and by recv in turn.
void read_here() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) abort();
  for (bool receive = false; !over; receive = !receive) {
    unsigned char value;
    unsigned char* at = cells[kReader]->choose(value);
    if (write(ends[1], &value, 1) != 1) abort();
    if ((receive ? recv(ends[0], at, 1, 0) : read(ends[0], at, 1)) != 1) abort();
    cells[kReader]->wrote(value);
  }
  close(ends[0]);
  close(ends[1]);
}

/// So often with one context, whose end takes milliseconds; then as long without one, and long enough for a
/// pass.
constexpr int kReads = 50;
constexpr std::chrono::milliseconds kPause{10};
using Clock = std::chrono::steady_clock;

void rest_since(Clock::time_point began) {
  std::this_thread::sleep_for(std::max<Clock::duration>(kPause, Clock::now() - began));
}

/// A file whose sectors are 256, each full of one byte.
int sectors() {
  const int file = open("/var/tmp", O_TMPFILE | O_RDWR, 0600);
  std::array<unsigned char, kSector> sector;
  for (int value = 0; value < 256; ++value) {
    sector.fill(static_cast<unsigned char>(value));
    if (write(file, sector.data(), kSector) != static_cast<ssize_t>(kSector)) abort();
  }
  fcntl(file, F_SETFL, O_DIRECT);  // where the file system can
  return file;
}

/// The kernel writes when it pleases.
void read_async() {
  const int file = sectors();
  while (!over) {
    const auto began = Clock::now();
    aio_context_t context = 0;
    if (syscall(SYS_io_setup, 1, &context) != 0) return;  // no AIO here
    for (int i = 0; i < kReads && !over; ++i) {
      unsigned char value;
      unsigned char* at = cells[kAsync]->choose(value);
      iocb one{};
      iocb* list = &one;
      io_event event{};
      one.aio_lio_opcode = IOCB_CMD_PREAD;
      one.aio_fildes = static_cast<unsigned>(file);
      one.aio_buf = reinterpret_cast<std::uintptr_t>(at);
      one.aio_nbytes = kSector;
      one.aio_offset = static_cast<long long>(value * kSector);
      if (syscall(SYS_io_submit, context, 1, &list) != 1) abort();
      while (syscall(SYS_io_getevents, context, 1, 1, &event, nullptr) != 1) {
      }
      if (event.res == static_cast<long long>(kSector))
        cells[kAsync]->wrote(value);
      else
        fcntl(file, F_SETFL, 0);  // larger sectors
    }
    syscall(SYS_io_destroy, context);
    rest_since(began);
  }
  close(file);
}

/// The kernel writes past the page tables, into pages that it holds on to.
void read_by_ring() {
  const int file = sectors();
  while (!over) {
    const auto began = Clock::now();
    io_uring ring;
    if (io_uring_queue_init(1, &ring, 0) != 0) return;  // no io_uring here
    for (int i = 0; i < kReads && !over; ++i) {
      unsigned char value;
      unsigned char* at = cells[kRing]->choose(value);
      const iovec buffer = {at, kSector};
      io_uring_cqe* done;
      if (io_uring_register_buffers(&ring, &buffer, 1) != 0) break;
      io_uring_prep_read_fixed(io_uring_get_sqe(&ring), file, at, kSector, value * kSector, 0);
      if (io_uring_submit(&ring) != 1) abort();
      while (io_uring_wait_cqe(&ring, &done) != 0) {
      }
      if (done->res == static_cast<int>(kSector))
        cells[kRing]->wrote(value);
      else
        fcntl(file, F_SETFL, 0);  // larger sectors
      io_uring_cqe_seen(&ring, done);
      io_uring_unregister_buffers(&ring);
    }
    io_uring_queue_exit(&ring);
    rest_since(began);
  }
  close(file);
}

void on_signal(int /*signal*/) {
  for (int i = 0; i < 8; ++i) store(*cells[kHandler]);
}

struct Totals {
  std::uint64_t writes[kWriters], lost[kWriters], given_back, seals;
};

samepage_store_stats statistics() {
  samepage_store_stats now;
  samepage_store_statistics(&now);
  return now;
}

/// For whom its parent publishes.
pid_t worker() {
  const pid_t child = fork();
  if (child) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) poll(nullptr, 0, 100);
}

bool seal(bool waits) {
  if (!waits) return samepage_seal() == SAMEPAGE_OK;
  poll(nullptr, 0, 200);
  return statistics().sealed > 0;
}

/// One process's life: constants, writers, one seal, passes.
Totals live(double seconds, bool waits) {
  samepage_constant_begin();
  constants = static_cast<unsigned char*>(aligned_alloc(kPage, kPages * kPage));
  samepage_scope_end();
  for (std::size_t i = 0; i < kPages * kPage; ++i)
    constants[i] = static_cast<unsigned char>(i / kSector * 2654435761u >> 13);
  for (int writer = 0; writer < kWriters; ++writer) cells[writer] = new Cells(static_cast<Writer>(writer));
  const pid_t other = waits ? worker() : 0;
  signal(SIGUSR1, on_signal);
  std::vector<std::thread> threads;
  threads.emplace_back(write_here, kFirst);
  threads.emplace_back(write_here, kSecond);
  threads.emplace_back(read_here);
  threads.emplace_back(read_async);
  threads.emplace_back(read_by_ring);
  // The handler runs in one thread alone, so its cells need no lock.
  std::thread kicker([to = threads.front().native_handle()] {
    while (!over) {
      pthread_kill(to, SIGUSR1);
      usleep(100);
    }
  });
  const auto began = Clock::now();
  bool sealed = false;  // while a context is open it is not
  while (!sealed && Clock::now() < began + std::chrono::seconds(waits ? 20 : 5)) sealed = seal(waits);
  const auto until = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < until) waits ? void(poll(nullptr, 0, 200)) : void(samepage_reshare());
  over = true;
  kicker.join();
  for (std::thread& thread : threads) thread.join();
  if (other > 0) kill(other, SIGKILL);
  const samepage_store_stats stats = statistics();
  Totals totals = {};
  for (std::size_t writer = 0; writer < kWriters; ++writer) {
    cells[writer]->look();
    totals.writes[writer] = cells[writer]->writes;
    totals.lost[writer] = cells[writer]->lost;
  }
  totals.given_back = stats.given_back;
  totals.seals = sealed;
  return totals;
}

/// Each in a process of its own: a process seals once.
Totals live_often(int rounds, double seconds) {
  Totals totals = {};
  for (int round = 0; round < rounds; ++round) {
    int result[2], status;
    if (pipe(result)) exit(2);
    if (fork() == 0) {
      const Totals mine = live(seconds, false);
      _exit(write(result[1], &mine, sizeof mine) == sizeof mine ? 0 : 1);
    }
    close(result[1]);
    Totals theirs;
    if (read(result[0], &theirs, sizeof theirs) != sizeof theirs) exit(1);
    for (std::size_t writer = 0; writer < kWriters; ++writer) {
      totals.writes[writer] += theirs.writes[writer];
      totals.lost[writer] += theirs.lost[writer];
    }
    totals.given_back += theirs.given_back;
    totals.seals += theirs.seals;
    close(result[0]);
    if (wait(&status) < 0 || status != 0) exit(1);
  }
  return totals;
}

}  // namespace

int main(int argc, char** argv) {
  if (!samepage_seal || argc < 3 || argc > 4) return 2;
  // For its worker the first process publishes, not one that was forked itself.
  const Totals totals = argc == 4 ? live(atof(argv[2]), true) : live_often(atoi(argv[1]), atof(argv[2]));
  for (std::size_t writer = 0; writer < kWriters; ++writer)
    printf("%s %lu %lu\n", kNames[writer], totals.writes[writer], totals.lost[writer]);
  printf("%lu %lu\n", totals.given_back, totals.seals);
  return 0;
}
