// Files of the cache, by threads that may wait. See cache-jobs.h.
#include "cache-jobs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>

#include "crc32c.h"
#include "file-windows.h"
#include "file.h"

namespace overlaybd_nbd {
namespace {

constexpr size_t kPiece = 64 * 1024;

int PwriteFull(int fd, const uint8_t* data, size_t length, uint64_t position) {
  for (size_t done = 0; done < length;) {
    const ssize_t n = ::pwrite(fd, data + done, length - done, static_cast<off_t>(position + done));
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (n == 0) {
      return -EIO;
    } else if (errno != EINTR) {
      return -errno;
    }
  }
  return 0;
}

// What threads have read of the file, or are reading, is not used any more.
void ForgetWindows(int fd) {
  FileEntry* const entry = FindFile(fd);
  if (entry == nullptr || !KeepsWindows(*entry)) return;
  entry->changes.fetch_add(1);
  FileWindows::Instance().Forget(fd);
}

}  // namespace

int OpenCacheFile(const FileJobRequest& request, FileJobOutcome* outcome) {
  const char* const path = request.path.c_str();
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  const int fd = ::open(path, kFlags | (request.create ? O_CREAT : 0), 0600);
  if (fd < 0) return -errno;
  struct stat status = {};
  int result = ::fstat(fd, &status) == 0 ? 0 : -errno;
  if (result == 0 && !S_ISREG(status.st_mode)) result = -ENOTBLK;
  const bool made = result == 0 && request.create && status.st_size == 0;
  if (made) {
    result = ::ftruncate(fd, static_cast<off_t>(request.length)) == 0 ? 0 : -errno;
    status.st_size = static_cast<off_t>(request.length);
  }
  if (result < 0) {
    ::close(fd);
    return result;
  }
  outcome->identity = "cache";
  outcome->ends_with_client = request.ends_with_client;
  outcome->values = {static_cast<double>(status.st_size), made ? 1.0 : 0.0};
  outcome->entry.reset(ProbeFile(fd, path, status.st_dev, status.st_uid == ::geteuid(),
                                 static_cast<uint64_t>(status.st_size)));
  return fd;
}

int StoreChunk(const FileJobRequest& request) {
  const int result =
      PwriteFull(request.fd, request.bytes.data(), request.bytes.size(), request.position);
  if (result < 0) return result;
  ForgetWindows(request.fd);
  return PwriteFull(request.second.get(), request.record.data(), request.record.size(),
                    request.record_position);
}

int64_t ChecksumRange(const FileJobRequest& request) {
  const std::unique_ptr<uint8_t[]> piece(new (std::nothrow) uint8_t[kPiece]);
  if (piece == nullptr) return -ENOMEM;
  uint32_t crc = request.seed;
  for (uint64_t done = 0; done < request.length; done += kPiece) {
    const auto want = static_cast<size_t>(std::min<uint64_t>(kPiece, request.length - done));
    const ssize_t n = PreadFull(request.fd, piece.get(), want, request.position + done);
    if (n < 0) return n;
    if (static_cast<size_t>(n) < want) return -ENODATA;
    crc = Crc32c(piece.get(), want, crc);
  }
  return crc;
}

int PunchRange(const FileJobRequest& request) {
  int result = PwriteFull(request.second.get(), request.record.data(), request.record.size(),
                          request.record_position);
  if (result < 0 || request.length == 0) return result;
  do {
    result = ::fallocate(request.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                         static_cast<off_t>(request.position), static_cast<off_t>(request.length));
  } while (result < 0 && errno == EINTR);
  const int error = result < 0 ? -errno : 0;
  ForgetWindows(request.fd);
  return error;
}

}  // namespace overlaybd_nbd
