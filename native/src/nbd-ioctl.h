// /dev/nbdX by ioctls, for kernels without the netlink family. It does not depend on Node.js, and
// starts no thread. Every function returns a number >= 0, or -errno.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

struct NbdIoctlSettings {
  uint64_t size = 0;
  uint64_t block_size = 0;
  int64_t timeout_seconds = -1;  // -1: left out
  uint64_t server_flags = 0;
  const int32_t* sockets = nullptr;
  size_t socket_count = 0;
};

// Claims the device and sets it up. The kernel identifies the owner by the calling thread, so each
// device needs its own thread. Returns a descriptor for NbdIoctlRun; -EBUSY if the device is in
// use, -ENOTTY if it is not an nbd device, -EPERM.
int NbdIoctlOpen(const char* path, const NbdIoctlSettings& settings);

// Runs until the device is disconnected or all its connections have ended, then frees the device
// and closes the descriptor. A signal would end it too.
int NbdIoctlRun(int fd);

// For a device that is connected in either way. -ENOTCONN if it is not.
int NbdIoctlDisconnect(const char* path);

}  // namespace overlaybd_nbd
