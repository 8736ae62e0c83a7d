// The threads that wait for disks, so that no other thread does. One pool a process, shared by all
// environments. Its threads are never joined: one that is stuck in the kernel is given up, and ends
// with the process. Knows neither Node nor any format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "file-jobs.h"

namespace overlaybd_nbd {

// What a file pool may take (docs/limits.md).
struct FilePoolLimits {
  // All threads, stuck ones among them.
  static constexpr int kThreads = 64;
  // How many of them are reserved for devices that answer.
  static constexpr int kReserved = 16;
  // That work for one device (st_dev; of paths, their mount), without those that are stuck.
  static constexpr int kThreadsPerDevice = 8;
  // When this many are stuck on a device, the pool risks no further one until one returns.
  static constexpr int kStuckPerDevice = 8;
  // For one file, stuck ones among them.
  static constexpr int kThreadsPerFile = 4;
  // Jobs that wait: 1024 connections with 128 requests each.
  static constexpr size_t kQueued = 1024 * 128;
  // A thread that has nothing to do ends.
  static constexpr int kIdleMs = 10'000;
  // Deadlines are counted in these, so that a process that was stopped for a while, or had no
  // processor, gives up nothing when it goes on.
  static constexpr int kTickMs = 125;
};

// The end of a job, for its client.
struct FileJobEnd {
  uint64_t id;
  FileJobOutcome outcome;
};

// Starts jobs for one environment. Outlives the environment while its jobs run.
class FileJobClient {
 public:
  virtual ~FileJobClient() = default;
  // Called by any thread, at most once for each job. @returns false if the client has ended.
  virtual bool Ended(std::unique_ptr<FileJobEnd> end) = 0;
};

// A thread that has not come back from the kernel in time.
struct StuckFileJob {
  std::string path;
  FileJobKind kind;
  uint64_t position;
  uint64_t length;
  double seconds;
};

// Begins a job. If it has not ended within `deadline_ms`, its client gets -ETIMEDOUT, whatever the
// thread does. @returns 0; -EAGAIN if too many wait already
int StartFileJob(std::shared_ptr<FileJobClient> client, uint64_t id, FileJobRequest request,
                 uint32_t deadline_ms);

// Closes a file that kOpen opened, when no job needs it any longer. Jobs that wait for it fail.
void CloseFile(int fd);

std::vector<StuckFileJob> StuckFileJobs();

}  // namespace overlaybd_nbd
