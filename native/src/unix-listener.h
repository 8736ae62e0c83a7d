// Unix stream sockets that listen at a path: made so that no client ever finds one that does not
// listen yet. Knows neither Node nor NBD. Every function returns a number >= 0, or -errno. Nothing
// here blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// Who may connect to a Unix socket; -1 leaves what the system gives.
struct UnixAccess {
  int64_t mode = -1;
  int64_t uid = -1;
  int64_t gid = -1;
};

// Leaves alone what is at `path`, and is -EADDRINUSE then. -ENAMETOOLONG if the path does not fit
// in sun_path. The socket gets its mode and owner and listens under a name beside `path` (the one
// that the system goes on to show), and only then comes to be at `path`.
int ListenUnix(const char* path, size_t length, int backlog, const UnixAccess& access = {});

// 0 if a process listens at `path`, also when its backlog is full at the moment.
// -ECONNREFUSED means that the socket file was left behind by a process that is gone.
int ProbeUnix(const char* path, size_t length);

}  // namespace overlaybd_nbd
