// Reading files and block devices by descriptor, over the system calls. See file.h.
#include "file.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

namespace overlaybd_nbd {
namespace {

int64_t Seek(int fd, uint64_t position, int whence) {
  const off_t found = ::lseek(fd, static_cast<off_t>(position), whence);
  return found < 0 ? -errno : found;
}

}  // namespace

ssize_t PreadFull(int fd, void* data, size_t length, uint64_t position) {
  char* const bytes = static_cast<char*>(data);
  size_t done = 0;
  do {
    const ssize_t n = ::pread(fd, bytes + done, length - done, static_cast<off_t>(position + done));
    if (n == 0) break;
    if (n > 0) {
      done += static_cast<size_t>(n);
    } else if (errno != EINTR) {
      return -errno;
    }
  } while (done < length);
  return static_cast<ssize_t>(done);
}

ssize_t PreadNoWait(int fd, void* data, size_t length, uint64_t position) {
  iovec part = {data, length};
  ssize_t n;
  do {
    n = ::preadv2(fd, &part, 1, static_cast<off_t>(position), RWF_NOWAIT);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

int64_t SeekData(int fd, uint64_t position) { return Seek(fd, position, SEEK_DATA); }

int64_t SeekHole(int fd, uint64_t position) { return Seek(fd, position, SEEK_HOLE); }

int64_t FileSize(int fd) { return Seek(fd, 0, SEEK_END); }

int WillNeed(int fd, uint64_t offset, uint64_t length) {
  // posix_fadvise returns the error instead of setting errno.
  return -::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(length),
                          POSIX_FADV_WILLNEED);
}

}  // namespace overlaybd_nbd
