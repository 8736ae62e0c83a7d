// The threads that wait for disks, so that no other thread does. All environments share one pool
// for the process. Its threads are never joined: a thread that is stuck in the kernel counts as
// lost, and ends with the process. It does not depend on Node.js or a format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "file-jobs.h"

namespace overlaybd_nbd {

// The limits of a file pool (docs/limits.md).
struct FilePoolLimits {
  // All threads, including stuck ones.
  static constexpr int kThreads = 64;
  // How many of them are reserved for devices that answer.
  static constexpr int kReserved = 16;
  // Threads that work for one device (st_dev; for paths, their mount), without stuck ones.
  static constexpr int kThreadsPerDevice = 8;
  // If this many threads are stuck on a device, the pool uses no further one until one returns.
  static constexpr int kStuckPerDevice = 8;
  // Threads for one file, including stuck ones.
  static constexpr int kThreadsPerFile = 4;
  // Waiting jobs: 1024 connections with 128 requests each.
  static constexpr size_t kQueued = 1024 * 128;
  // An idle thread ends after this time.
  static constexpr int kIdleMs = 10'000;
  // Deadlines are counted in these ticks, so that no job fails because the process was stopped for
  // a while, or had no CPU.
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

// A thread that has not returned from the kernel in time.
struct StuckFileJob {
  std::string path;
  FileJobKind kind;
  uint64_t position;
  uint64_t length;
  double seconds;
};

// Starts a job. If it has not ended within `deadline_ms`, its client gets -ETIMEDOUT, whatever the
// thread does later. @returns 0; -EAGAIN if too many jobs wait already
int StartFileJob(std::shared_ptr<FileJobClient> client, uint64_t id, FileJobRequest request,
                 uint32_t deadline_ms);

// Closes a file that kOpen opened, when no job uses it any longer. Waiting jobs for it fail.
void CloseFile(int fd);

std::vector<StuckFileJob> StuckFileJobs();

}  // namespace overlaybd_nbd
