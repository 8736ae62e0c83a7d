// The jobs of the pool's threads, one function for each kind. Everything here may wait for a disk,
// so only these threads may call it. It does not depend on Node.js or a format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "file-table.h"

namespace overlaybd_nbd {

enum class FileJobKind {
  kOpen,      // a path, if it is a regular file or a block device
  kExists,    // whether there is something at a path
  kLoad,      // a range into memory, so that ReadAtHand finds it
  kPrefetch,  // has the kernel begin to read a range
  kExtents,   // where a range has data
  kClose,
  kCacheOpen,  // these: cache-jobs.h
  kCacheStore,
  kCacheChecksum,
  kCachePunch,
};
constexpr int kFileJobKinds = 10;

// Closes its descriptor.
class OwnedDescriptor {
 public:
  OwnedDescriptor() = default;
  explicit OwnedDescriptor(int fd) : fd_(fd) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~OwnedDescriptor();
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

// The job; fields that a kind does not name are not used.
struct FileJobRequest {
  FileJobKind kind = FileJobKind::kClose;
  std::string path;               // kOpen, kExists, kCacheOpen
  int fd = -1;                    // the others
  uint64_t position = 0;          // kLoad, kPrefetch, kExtents, kCache...
  uint64_t length = 0;            // kLoad, kPrefetch, kExtents, kCache...
  uint64_t file_end = 0;          // kExtents: how long the file was when it was opened
  bool create = false;            // kCacheOpen
  bool ends_with_client = false;  // kCacheOpen
  uint32_t seed = 0;              // kCacheChecksum
  // kCacheStore and kCachePunch: the file of records, and what is written there.
  OwnedDescriptor second;
  uint64_t record_position = 0;
  std::vector<uint8_t> record;
  std::vector<uint8_t> bytes;  // kCacheStore
};

// The result of a job.
struct FileJobOutcome {
  // kOpen: the descriptor; -ENOTBLK if it is neither a regular file nor a block device. kLoad: the
  // number of bytes, less than `length` if the file ends. kExtents: the end of the known range, at
  // least one byte; -ENXIO if the file is shorter than `file_end`. Otherwise 0. Or -errno.
  int64_t result = 0;
  // kOpen: the size, and 1 for a block device. kExtents: start and end of each run of data; the
  // last may reach past the range.
  std::vector<double> values;
  // kOpen: the identity of the file: device, inode, size, modification time.
  std::string identity;
  // kOpen: registered when a client takes the descriptor.
  std::unique_ptr<FileEntry> entry;
  // kCacheOpen: the descriptor is closed with the environment that asked for it.
  bool ends_with_client = false;
  // kLoad: the rest of the region (file-misses.h) should be read ahead.
  bool wants_region = false;
};

// Whether the result of such a job is a descriptor.
constexpr bool OpensFile(FileJobKind kind) {
  return kind == FileJobKind::kOpen || kind == FileJobKind::kCacheOpen;
}

// The most extents in one result; a client asks again for more.
constexpr size_t kMaxJobExtents = 4096;

void RunFileJob(const FileJobRequest& request, FileJobOutcome* outcome);

// Undoes a job whose client no longer waits.
void DropOutcome(FileJobKind kind, const FileJobOutcome& outcome);

}  // namespace overlaybd_nbd
