// The mount of a path, without asking a disk. See mount-of-path.h.
#include "mount-of-path.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace overlaybd_nbd {
namespace {

// As in linux/openat2.h of Linux 5.12 and later.
constexpr uint64_t kResolveCached = 0x20;

// Uses only what the kernel has in memory; -EAGAIN if that is not enough.
int OpenCached(const char* path, uint64_t flags = 0) {
  open_how how = {};
  how.flags = O_PATH | O_CLOEXEC | flags;
  how.resolve = kResolveCached;
  const long fd = ::syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
  return fd < 0 ? -errno : static_cast<int>(fd);
}

// For an open descriptor. fstat and statx would ask the file system.
int64_t MountOf(int fd) {
  char text[512];
  snprintf(text, sizeof(text), "/proc/self/fdinfo/%d", fd);
  const int info = ::open(text, O_RDONLY | O_CLOEXEC);
  if (info < 0) return -errno;
  const ssize_t length = ::read(info, text, sizeof(text) - 1);
  ::close(info);
  if (length <= 0) return -EIO;
  text[length] = '\0';
  const char* const found = ::strstr(text, "mnt_id:");
  return found == nullptr ? -ENOENT : ::strtoll(found + sizeof("mnt_id:") - 1, nullptr, 10);
}

}  // namespace

int64_t MountOfPath(const std::string& path) {
  std::string at = path;
  for (;;) {
    const int fd = OpenCached(at.c_str());
    if (fd >= 0) {
      const int64_t mount = MountOf(fd);
      ::close(fd);
      return mount;
    }
    if (fd == -ENOSYS || fd == -EINVAL || at == "/" || at == ".") return fd;
    // A symbolic link may lead to another mount than that of its folder.
    const int link = OpenCached(at.c_str(), O_NOFOLLOW);
    if (link >= 0) {
      ::close(link);
      return fd;
    }
    const size_t slash = at.find_last_of('/');
    at = slash == std::string::npos ? "." : slash == 0 ? "/" : at.substr(0, slash);
  }
}

}  // namespace overlaybd_nbd
