// The kernel's netlink family "nbd": connects, reconnects and disconnects /dev/nbdX. It does not
// depend on Node.js, and has no policy. Every function returns a number >= 0, or -errno; all wait
// for the kernel, and -ENOENT always means that the kernel has no such family.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// Common settings of CONNECT and RECONFIGURE. -1, an empty backend, no sockets: left out.
struct NbdSettings {
  int64_t timeout_seconds = -1;
  int64_t dead_conn_timeout_seconds = -1;
  int64_t client_flags = -1;
  const char* backend = "";
  const int32_t* sockets = nullptr;
  size_t socket_count = 0;
};

int NbdFamily();

// With `index` -1 the kernel chooses. Returns the index; -EBUSY if the device is in use or open.
int64_t NbdConnect(int64_t index, uint64_t size, uint64_t block_size, uint64_t server_flags,
                   const NbdSettings& settings);

// 0 does not mean that the kernel uses the sockets: it drops sockets that no connection needs,
// without an error. -EINVAL if the device is not connected by netlink, or has another backend.
int NbdReconfigure(uint32_t index, const NbdSettings& settings);

int NbdDisconnect(uint32_t index);

}  // namespace overlaybd_nbd
