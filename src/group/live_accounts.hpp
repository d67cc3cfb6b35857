#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "group/process_share.hpp"
#include "linux/proc_fs.hpp"
#include "linux/user_names.hpp"

namespace samepage {

/// A process that runs, and what it takes.
struct LiveProcess {
  pid_t pid = 0, ppid = 0;
  std::uint64_t start_time = 0;
  uid_t uid = 0;
  std::string user;                ///< its name, or number
  std::string name;                ///< as in ps
  std::string program;             ///< the program's file; the name where that is hidden
  std::vector<std::string> words;  ///< its command line
  std::vector<std::string> cgroups;
  ProcessShare share;
  double seen = 0;                        ///< when `share` was taken, seconds of the monotonic clock
  std::vector<std::uint64_t> private_kb;  ///< of the latest samples, newest last
};

/// Similar processes: one program, one name, one user. Sums, in kB.
struct LiveGroup {
  std::string name, program, user;
  std::vector<const LiveProcess*> processes;
  std::uint64_t together_kb = 0;  ///< what the machine holds for them
  std::uint64_t alone_kb = 0;     ///< an estimate (ProcessShare) of what they take without sharing
  std::uint64_t now_private_kb = 0;
  std::vector<std::uint64_t> private_kb;  ///< of the latest samples, newest last

  std::int64_t saved_kb() const { return static_cast<std::int64_t>(alone_kb - together_kb); }
};

/// Points into LiveAccounts, valid until its next sample.
struct LiveSample {
  double time = 0;  ///< seconds since 1970
  std::vector<LiveGroup> groups;
  std::size_t processes = 0, hidden = 0;  ///< hidden: of them, those that may not be looked into
};

/// The memory of processes that run already, looked at again and again at a cost of a share of one processor.
///
/// What each look costs is one line of /proc per process. Page tables are walked of the processes that
/// faulted or grew since, or whose group gained or lost a process, and now and then of all others, since what
/// others do changes a process's share too; the longest not seen come first, and what the share does not pay
/// for waits. Of the first look everything is paid. For one thread.
class LiveAccounts {
 public:
  using Table = std::map<pid_t, LiveProcess>;
  /// Which processes are meant; asked once for each process and program, with all that are known.
  using Meant = std::function<bool(const LiveProcess&, const Table&)>;
  using Clock = std::function<double()>;

  /// `proc` is borrowed; `share` of one processor; `cpu` tells the seconds that this thread has used.
  LiveAccounts(const ProcFs& proc, Meant meant, double share);
  LiveAccounts(const ProcFs& proc, Meant meant, double share, Clock now, Clock cpu);

  LiveSample sample();

  static constexpr std::size_t kHistory = 128;

 private:
  /// What decides whether a process must be looked into again.
  struct Look {
    ProcStat stat;
    bool without_memory = false;  ///< a kernel thread
    bool meant = false, asked = false, measured = false, changed = true;
  };
  using GroupKey = std::pair<std::string, uid_t>;

  void take_stock();
  void identify(LiveProcess& process, const ProcStat& stat);
  void measure(double now);
  static GroupKey group_of(const LiveProcess& process);
  LiveSample summed();

  const ProcFs& proc_;
  Meant meant_;
  double share_;
  Clock now_, cpu_;
  UserNames users_;
  Table table_;
  std::map<pid_t, Look> looks_;
  std::map<GroupKey, std::vector<std::uint64_t>> histories_;
  std::size_t samples_ = 0;
  double last_ = 0, credit_ = 0;  ///< seconds: of the last sample; of processor time that may be used
};

/// The name that processes of one kind have in common: "gunicorn: worker [app]" is a gunicorn.
std::string common_name(const std::string& name);

}  // namespace samepage
