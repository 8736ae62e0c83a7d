// /dev/nbdX by ioctls. See nbd-ioctl.h.
#include "nbd-ioctl.h"

#include <fcntl.h>
#include <linux/major.h>
#include <linux/nbd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>

namespace overlaybd_nbd {
namespace {

// Read-only: the ioctls do not require more, and udev probes a device when a descriptor that is
// open for writing is closed.
int OpenDevice(const char* path, bool* connected) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return -errno;
  struct stat status;
  int error = ::fstat(fd, &status) == 0 ? 0 : errno;
  // Another driver would interpret the numbers of the ioctls as its own.
  if (error == 0 && (!S_ISBLK(status.st_mode) || major(status.st_rdev) != NBD_MAJOR)) {
    error = ENOTTY;
  }
  if (error != 0) {
    ::close(fd);
    return -error;
  }
  // This file exists exactly while the device is connected.
  char pid[64];
  snprintf(pid, sizeof(pid), "/sys/dev/block/%u:%u/pid", major(status.st_rdev),
           minor(status.st_rdev));
  *connected = ::access(pid, F_OK) == 0;
  return fd;
}

int Control(int fd, unsigned long request, uint64_t argument) {
  if (argument > ULONG_MAX) return -EOVERFLOW;
  return ::ioctl(fd, request, static_cast<unsigned long>(argument)) == 0 ? 0 : -errno;
}

int SetUp(int fd, const NbdIoctlSettings& settings) {
  int result = 0;
  for (size_t i = 1; i < settings.socket_count && result == 0; ++i) {
    result = Control(fd, NBD_SET_SOCK, static_cast<uint64_t>(settings.sockets[i]));
  }
  if (result == 0) result = Control(fd, NBD_SET_BLKSIZE, settings.block_size);
  if (result == 0) result = Control(fd, NBD_SET_SIZE, settings.size);
  if (result == 0) result = Control(fd, NBD_SET_FLAGS, settings.server_flags);
  if (result == 0 && settings.timeout_seconds >= 0) {
    result = Control(fd, NBD_SET_TIMEOUT, static_cast<uint64_t>(settings.timeout_seconds));
  }
  return result;
}

}  // namespace

int NbdIoctlOpen(const char* path, const NbdIoctlSettings& settings) {
  if (settings.socket_count == 0) return -EINVAL;
  bool connected = false;
  const int fd = OpenDevice(path, &connected);
  if (fd < 0) return fd;
  // Before any setting, because a size would be set for the present user of the device.
  int result =
      connected ? -EBUSY : Control(fd, NBD_SET_SOCK, static_cast<uint64_t>(settings.sockets[0]));
  if (result == 0) {
    result = SetUp(fd, settings);
    if (result < 0) Control(fd, NBD_CLEAR_SOCK, 0);
  }
  if (result == 0) return fd;
  ::close(fd);
  return result;
}

int NbdIoctlRun(int fd) {
  const int result = Control(fd, NBD_DO_IT, 0);
  Control(fd, NBD_CLEAR_SOCK, 0);
  ::close(fd);
  return result;
}

int NbdIoctlDisconnect(const char* path) {
  bool connected = false;
  const int fd = OpenDevice(path, &connected);
  if (fd < 0) return fd;
  int result = connected ? Control(fd, NBD_DISCONNECT, 0) : -ENOTCONN;
  // The server has received the disconnect; a server that no longer reads must not keep the device.
  if (result == 0) result = Control(fd, NBD_CLEAR_SOCK, 0);
  ::close(fd);
  return result;
}

}  // namespace overlaybd_nbd
