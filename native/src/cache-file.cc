// Locks of cache files, over the system calls. See cache-file.h.
#include "cache-file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "file-table.h"

namespace overlaybd_nbd {

int LockRange(int fd, uint64_t position, uint64_t length, RangeLock lock) {
  struct flock range = {};
  range.l_type = lock == RangeLock::kExclusive ? F_WRLCK
                 : lock == RangeLock::kShared  ? F_RDLCK
                                               : F_UNLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(position);
  range.l_len = static_cast<off_t>(length);
  if (::fcntl(fd, F_OFD_SETLK, &range) == 0) return 0;
  return errno == EACCES ? -EAGAIN : -errno;
}

int MakeMemoryFile(const char* name, uint64_t size) {
  const int fd = ::memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) return -errno;
  struct stat status = {};
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0 || ::fstat(fd, &status) != 0) {
    const int error = errno;
    ::close(fd);
    return -error;
  }
  FileEntry* const entry = ProbeFile(fd, name, status.st_dev, false, 0);
  // tmpfs has no disk, even if this kernel reports one.
  entry->access = FileAccess::kMemory;
  if (!RememberFile(fd, entry)) delete entry;
  return fd;
}

}  // namespace overlaybd_nbd
