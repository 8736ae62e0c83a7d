// Unix stream sockets that listen at a path. See unix-listener.h.
#include "unix-listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "address.h"

namespace overlaybd_nbd {
namespace {

constexpr int kStreamType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
// linux/fs.h; newer than the headers of some build machines.
constexpr unsigned kRenameNoReplace = 1;
// A taken name belongs to a process that died before the end, perhaps in another container.
constexpr int kMaxNames = 100;

// Moves the socket `name` in `folder` to `wanted`, unless a file is there.
int MoveTo(int folder, const char* name, const char* wanted) {
  if (::syscall(SYS_renameat2, folder, name, folder, wanted, kRenameNoReplace) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno == EEXIST ? -EADDRINUSE : -errno;
  // The file system does not support it.
  if (::linkat(folder, name, folder, wanted, 0) != 0) {
    return errno == EEXIST ? -EADDRINUSE : -errno;
  }
  ::unlinkat(folder, name, 0);
  return 0;
}

// Works on a descriptor that is certainly a socket: if another file has taken the name meanwhile,
// above all a symbolic link, it must not get the mode and owner of the socket.
int Permit(int folder, const char* name, const UnixAccess& access) {
  const int fd = ::openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -errno;
  const auto uid = static_cast<uid_t>(access.uid);
  const auto gid = static_cast<gid_t>(access.gid);
  // There is no fchmod for such a descriptor.
  char self[32];
  snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
  struct stat status;
  int result = 0;
  if (::fstat(fd, &status) != 0) {
    result = -errno;
  } else if (!S_ISSOCK(status.st_mode)) {
    result = -ENOTSOCK;
  } else if (::fchownat(fd, "", uid, gid, AT_EMPTY_PATH) != 0) {
    result = -errno;
  } else if (access.mode >= 0 && ::chmod(self, static_cast<mode_t>(access.mode)) != 0) {
    result = -errno;
  }
  ::close(fd);
  return result;
}

// Binds to an unused name in the folder, which is stored in `name`.
int BindBeside(int fd, int folder, const std::string& path, size_t slash, std::string* name) {
  static std::atomic<unsigned> count{0};
  for (int tries = 0; tries < kMaxNames; ++tries) {
    const std::string own = "." + std::to_string(::getpid()) + "." + std::to_string(count++);
    *name = path.substr(slash + 1) + own;
    std::string address = path + own;
    if (address.size() >= sizeof(sockaddr_un::sun_path)) {
      *name = ".overlaybd-nbd" + own;
      address = "/proc/self/fd/" + std::to_string(folder) + "/" + *name;
    }
    Address beside;
    const int filled = FillUnix(address.data(), address.size(), &beside);
    if (filled < 0) return filled;
    if (::bind(fd, beside.Base(), beside.length) == 0) return 0;
    if (errno != EADDRINUSE) return -errno;
  }
  return -EADDRINUSE;
}

int ListenIn(int folder, int fd, const std::string& path, size_t slash, int backlog,
             const UnixAccess& access) {
  std::string name;
  int result = BindBeside(fd, folder, path, slash, &name);
  if (result < 0) return result;
  if (access.mode >= 0 || access.uid >= 0 || access.gid >= 0) {
    result = Permit(folder, name.c_str(), access);
  }
  if (result == 0 && ::listen(fd, backlog) != 0) result = -errno;
  if (result == 0) result = MoveTo(folder, name.c_str(), path.c_str() + slash + 1);
  if (result < 0) ::unlinkat(folder, name.c_str(), 0);
  return result;
}

}  // namespace

int ListenUnix(const char* path, size_t length, int backlog, const UnixAccess& access) {
  Address address;
  const int filled = FillUnix(path, length, &address);
  if (filled < 0) return filled;
  std::string whole(path, length);
  if (whole.find('/') == std::string::npos) whole.insert(0, "./");
  const size_t slash = whole.rfind('/');
  if (slash + 1 == whole.size()) return -EISDIR;
  const int folder = ::open(whole.substr(0, slash + 1).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return -errno;
  const int fd = ::socket(AF_UNIX, kStreamType, 0);
  int result = fd < 0 ? -errno : ListenIn(folder, fd, whole, slash, backlog, access);
  ::close(folder);
  if (result == 0) return fd;
  if (fd >= 0) ::close(fd);
  return result;
}

int ProbeUnix(const char* path, size_t length) {
  Address address;
  const int filled = FillUnix(path, length, &address);
  if (filled < 0) return filled;
  const int fd = ::socket(AF_UNIX, kStreamType, 0);
  if (fd < 0) return -errno;
  const int result = ::connect(fd, address.Base(), address.length) == 0 ? 0 : -errno;
  ::close(fd);
  // A nonblocking connect fails with EAGAIN if the backlog is full: a process is listening.
  return result == -EAGAIN ? 0 : result;
}

}  // namespace overlaybd_nbd
