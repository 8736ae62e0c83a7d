// Unix stream sockets that listen at a path: made so that no client ever finds the path before the
// socket listens. It does not depend on Node.js or NBD. Every function returns a number >= 0, or
// -errno. No function blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// Who may connect to a Unix socket; -1 leaves the default of the system.
struct UnixAccess {
  int64_t mode = -1;
  int64_t uid = -1;
  int64_t gid = -1;
};

// Does not touch an existing file at `path`, and returns -EADDRINUSE then. -ENAMETOOLONG if the
// path does not fit in sun_path. The socket gets its mode and owner and listens under another name
// in the same folder (which the kernel keeps showing), and only then is it moved to `path`.
int ListenUnix(const char* path, size_t length, int backlog, const UnixAccess& access = {});

// 0 if a process listens at `path`, also if its backlog is full at the moment. -ECONNREFUSED means
// that the socket file is stale: its process is gone.
int ProbeUnix(const char* path, size_t length);

}  // namespace overlaybd_nbd
