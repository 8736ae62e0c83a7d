// The mount of a path, without asking a disk. It does not depend on Node.js or a format.
#pragma once

#include <cstdint>
#include <string>

namespace overlaybd_nbd {

// The kernel's number of the mount that has the path, as far as the kernel has the path in memory;
// otherwise that of the nearest folder above it that is in memory. Never waits for a file system.
// @returns -errno if it is unknown: before Linux 5.12, without /proc, or for a symbolic link to a
// path that is not in memory
int64_t MountOfPath(const std::string& path);

}  // namespace overlaybd_nbd
