// Bytes of files into sockets, over splice(2). See file-pipe.h.
#include "file-pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "file-table.h"

namespace overlaybd_nbd {
namespace {

// 0 if no page of the range has to be read from a disk.
int RequireAtHand(int file, uint64_t position, size_t length) {
  const FileEntry* const entry = FindFile(file);
  if (entry == nullptr || entry->access == FileAccess::kThreads) return -EOPNOTSUPP;
  if (entry->access == FileAccess::kMemory) return 0;
  if (entry->map == nullptr) return -EPERM;
  return IsResident(*entry, position, length) ? 0 : -EAGAIN;
}

}  // namespace

int MakePipe(int32_t* ends, size_t size) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) return -errno;
  // It may be smaller than requested: the kernel limits it for each user.
  int capacity = ::fcntl(fds[1], F_SETPIPE_SZ, static_cast<int>(size));
  if (capacity < 0) capacity = ::fcntl(fds[1], F_GETPIPE_SZ);
  if (capacity < 0) {
    const int error = errno;
    ::close(fds[0]);
    ::close(fds[1]);
    return -error;
  }
  ends[0] = fds[0];
  ends[1] = fds[1];
  return capacity;
}

ssize_t FillPipe(int file, uint64_t position, int pipe, size_t length) {
  if (length == 0) return 0;
  const int missing = RequireAtHand(file, position, length);
  if (missing < 0) return missing;
  size_t done = 0;
  while (done < length) {
    off64_t at = static_cast<off64_t>(position + done);
    const ssize_t n = ::splice(file, &at, pipe, nullptr, length - done, SPLICE_F_NONBLOCK);
    if (n == 0) break;
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (errno != EINTR) {
      // Bytes that are already in the pipe must be counted.
      if (done > 0) break;
      return errno == EINVAL ? -EOPNOTSUPP : -errno;
    }
  }
  return static_cast<ssize_t>(done);
}

ssize_t DrainPipe(int pipe, int socket, size_t length) {
  ssize_t n;
  do {
    n = ::splice(pipe, nullptr, socket, nullptr, length, SPLICE_F_NONBLOCK);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

}  // namespace overlaybd_nbd
