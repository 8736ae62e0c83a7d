// Opening, reading and asking about files, by threads that may wait. See file-jobs.h.
#include "file-jobs.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <new>

#include "cache-jobs.h"
#include "file-windows.h"
#include "file.h"
#include "process.h"

namespace overlaybd_nbd {
namespace {

// Bytes of one read; whole windows.
constexpr size_t kChunk = 256 * 1024;
static_assert(kChunk % FileWindows::kWindow == 0);

// Whether mincore(2) tells this process which pages of the file are in memory. It tells the owner,
// and users who may write to the file.
bool MayAskResidency(int fd, const struct stat& status) {
  // A capability does not help if the owner is unknown in this user namespace.
  constexpr uid_t kOverflowUser = 65534;
  if (status.st_uid == ::geteuid()) return true;
  if (status.st_uid != kOverflowUser && HasCapability(CAP_FOWNER) == 1) return true;
  return ::faccessat(fd, "", W_OK, AT_EACCESS | AT_EMPTY_PATH) == 0;
}

// Opens for reading the very file of `look`, an O_PATH descriptor.
int Reopen(int look, const char* path, const struct stat& looked) {
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  char link[32];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", look);
  int fd = ::open(link, kFlags);
  // Without /proc the path is used, if it still leads to the same file.
  if (fd < 0 && errno == ENOENT) fd = ::open(path, kFlags);
  if (fd < 0) return -errno;
  struct stat status;
  const int result = ::fstat(fd, &status) != 0                                          ? -errno
                     : status.st_dev == looked.st_dev && status.st_ino == looked.st_ino ? 0
                                                                                        : -ESTALE;
  if (result == 0) return fd;
  ::close(fd);
  return result;
}

int OpenImageFile(const char* path, FileJobOutcome* outcome) {
  // Looked at first, because opening a device, a FIFO or a terminal may have effects.
  const int look = ::open(path, O_PATH | O_CLOEXEC);
  if (look < 0) return -errno;
  struct stat status;
  int result = ::fstat(look, &status) == 0 ? 0 : -errno;
  const bool is_device = S_ISBLK(status.st_mode);
  if (result == 0 && !S_ISREG(status.st_mode) && !is_device) result = -ENOTBLK;
  if (result == 0) result = Reopen(look, path, status);
  ::close(look);
  if (result < 0) return result;
  const int fd = result;
  // Again, because the file may have been written to in between.
  const int64_t size = ::fstat(fd, &status) != 0 ? -errno
                       : is_device               ? FileSize(fd)
                                                 : status.st_size;
  if (size < 0) {
    ::close(fd);
    return static_cast<int>(size);
  }
  char identity[128];
  snprintf(identity, sizeof(identity), "%ju:%ju:%jd:%jd", static_cast<uintmax_t>(status.st_dev),
           static_cast<uintmax_t>(status.st_ino), static_cast<intmax_t>(status.st_size),
           static_cast<intmax_t>(status.st_mtim.tv_sec) * 1000000000 + status.st_mtim.tv_nsec);
  outcome->identity = identity;
  outcome->values = {static_cast<double>(size), is_device ? 1.0 : 0.0};
  outcome->entry.reset(
      ProbeFile(fd, path, status.st_dev, MayAskResidency(fd, status), static_cast<uint64_t>(size)));
  return fd;
}

int Exists(const char* path) {
  const int look = ::open(path, O_PATH | O_CLOEXEC);
  if (look < 0) return -errno;
  ::close(look);
  return 0;
}

void KeepWindows(int fd, uint64_t position, const uint8_t* data, size_t length,
                 FileWindows::Changes changes) {
  for (size_t at = 0; at < length; at += FileWindows::kWindow) {
    const size_t n = std::min(FileWindows::kWindow, length - at);
    FileWindows::Instance().Keep(fd, position + at, data + at, n, FileWindows::Clock::now(),
                                 changes);
  }
}

// Reads the range; its method decides the destination: the page cache, or the windows.
int64_t Load(int fd, uint64_t position, uint64_t length) {
  const FileEntry* const entry = FindFile(fd);
  const bool keep = entry != nullptr && KeepsWindows(*entry);
  const uint64_t end = position + length;
  const uint64_t begin = keep ? position / FileWindows::kWindow * FileWindows::kWindow : position;
  const uint64_t window_end =
      keep ? (end + FileWindows::kWindow - 1) / FileWindows::kWindow * FileWindows::kWindow : end;
  const std::unique_ptr<uint8_t[]> chunk(
      new (std::nothrow) uint8_t[std::min<uint64_t>(kChunk, window_end - begin)]);
  if (chunk == nullptr) return -ENOMEM;
  for (uint64_t at = begin; at < window_end; at += kChunk) {
    const auto want = static_cast<size_t>(std::min<uint64_t>(kChunk, window_end - at));
    const FileWindows::Changes changes = {keep ? &entry->changes : nullptr,
                                          keep ? entry->changes.load() : 0};
    const ssize_t n = PreadFull(fd, chunk.get(), want, at);
    if (n < 0) return n;
    if (keep) KeepWindows(fd, at, chunk.get(), static_cast<size_t>(n), changes);
    if (static_cast<size_t>(n) == want) continue;
    // The file ends; bytes after the range do not matter.
    const uint64_t file_end = at + static_cast<uint64_t>(n);
    if (file_end >= end) break;
    return static_cast<int64_t>(std::max(file_end, position) - position);
  }
  return static_cast<int64_t>(length);
}

// Notes a read that is done. Reading ahead saves a job only if reactors look into the page cache.
// @returns whether to read ahead
bool WantsRegion(const FileJobRequest& request) {
  FileEntry* const entry = FindFile(request.fd);
  if (entry == nullptr) return false;
  const bool is_cached =
      entry->access == FileAccess::kNoWait || entry->access == FileAccess::kResident;
  return is_cached && entry->misses.Note(request.position, request.length);
}

// For one piece of advice the kernel reads no more than its readahead window; this is the smallest
// usual one.
int Prefetch(int fd, uint64_t position, uint64_t length) {
  constexpr uint64_t kReadahead = 128 * 1024;
  for (uint64_t done = 0; done < length; done += kReadahead) {
    const uint64_t n = std::min(kReadahead, length - done);
    const int result = WillNeed(fd, position + done, n);
    if (result < 0) return result;
  }
  return 0;
}

// -ENXIO if the file has become shorter.
int RequireLength(int fd, uint64_t file_end) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return -errno;
  const int64_t size = S_ISBLK(status.st_mode) ? FileSize(fd) : status.st_size;
  if (size < 0) return static_cast<int>(size);
  return static_cast<uint64_t>(size) < file_end ? -ENXIO : 0;
}

int64_t FindExtents(const FileJobRequest& request, std::vector<double>* extents) {
  const uint64_t end = request.position + request.length;
  uint64_t at = request.position;
  while (at < end && extents->size() < 2 * kMaxJobExtents) {
    const int64_t data = SeekData(request.fd, at);
    if (data == -EINVAL) {
      // A block device has no holes, only a size.
      const int length = RequireLength(request.fd, request.file_end);
      return length < 0 ? length : data;
    }
    if (data < 0 && data != -ENXIO) return data;
    // No data up to the end of the file, wherever that is now.
    if (data == -ENXIO || static_cast<uint64_t>(data) >= end) {
      at = end;
      break;
    }
    const int64_t hole = SeekHole(request.fd, static_cast<uint64_t>(data));
    if (hole < 0 && hole != -ENXIO) return hole;
    // The file was cut between the two calls, or the answer contradicts itself.
    if (hole <= data) return hole == -ENXIO ? -ENXIO : -EIO;
    extents->push_back(static_cast<double>(data));
    extents->push_back(static_cast<double>(hole));
    at = static_cast<uint64_t>(hole);
  }
  // A file that was cut has a hole after its end too.
  const int length = RequireLength(request.fd, request.file_end);
  if (length < 0) return length;
  return static_cast<int64_t>(std::min(at, end) - request.position);
}

int64_t Run(const FileJobRequest& request, FileJobOutcome* outcome) {
  switch (request.kind) {
    case FileJobKind::kOpen:
      return OpenImageFile(request.path.c_str(), outcome);
    case FileJobKind::kExists:
      return Exists(request.path.c_str());
    case FileJobKind::kLoad: {
      const int64_t n = Load(request.fd, request.position, request.length);
      const bool is_all = n == static_cast<int64_t>(request.length);
      outcome->wants_region = is_all && WantsRegion(request);
      return n;
    }
    case FileJobKind::kPrefetch:
      return Prefetch(request.fd, request.position, request.length);
    case FileJobKind::kExtents:
      return FindExtents(request, &outcome->values);
    case FileJobKind::kClose:
      ForgetFile(request.fd);
      ::close(request.fd);
      return 0;
    case FileJobKind::kCacheOpen:
      return OpenCacheFile(request, outcome);
    case FileJobKind::kCacheStore:
      return StoreChunk(request);
    case FileJobKind::kCacheChecksum:
      return ChecksumRange(request);
    case FileJobKind::kCachePunch:
      return PunchRange(request);
  }
  return -EINVAL;
}

}  // namespace

OwnedDescriptor::~OwnedDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

void RunFileJob(const FileJobRequest& request, FileJobOutcome* outcome) {
  try {
    outcome->result = Run(request, outcome);
  } catch (const std::bad_alloc&) {
    outcome->result = -ENOMEM;
  }
}

void DropOutcome(FileJobKind kind, const FileJobOutcome& outcome) {
  if (!OpensFile(kind) || outcome.result < 0) return;
  ::close(static_cast<int>(outcome.result));
}

}  // namespace overlaybd_nbd
