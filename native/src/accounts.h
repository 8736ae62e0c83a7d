// Names of users and groups to their numbers, by the system's accounts. Knows neither Node nor NBD.
// May read files or ask a directory server: for the start of the daemon, not for its loops.
#pragma once

#include <cstdint>

namespace overlaybd_nbd {

// The number, or -ENOENT if there is no such account, or another -errno.
int64_t UserId(const char* name);
int64_t GroupId(const char* name);

}  // namespace overlaybd_nbd
