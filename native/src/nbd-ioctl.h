// /dev/nbdX by ioctls, for kernels without the netlink family. Knows no Node and starts no thread.
// Every function returns a number >= 0, or -errno.
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

// Makes the device ours and sets it up. The kernel knows the owner by the calling thread, so that
// each device needs a thread of its own. Returns a descriptor for NbdIoctlRun; -EBUSY if it is in
// use, -ENOTTY if it is not an nbd device, -EPERM.
int NbdIoctlOpen(const char* path, const NbdIoctlSettings& settings);

// Stays until the device is disconnected or all its connections have ended, then frees the device
// and closes the descriptor. A signal would end it too.
int NbdIoctlRun(int fd);

// Of a device that is connected by whichever means. -ENOTCONN if it is not.
int NbdIoctlDisconnect(const char* path);

}  // namespace overlaybd_nbd
