// Reading files and block devices by descriptor. It does not depend on Node.js or a format. Every
// function returns a number >= 0, or -errno.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// Reads until it has `length` bytes or the file ends. An error after some bytes is an error: a
// short result always means the end of the file.
ssize_t PreadFull(int fd, void* data, size_t length, uint64_t position);

// Reads only bytes that need no waiting for a disk (RWF_NOWAIT). Less than `length`: the next bytes
// are not in the page cache, or the file ends. -EAGAIN: no byte is in the page cache. -EOPNOTSUPP:
// the file system cannot tell.
ssize_t PreadNoWait(int fd, void* data, size_t length, uint64_t position);

// -ENXIO if there is no data after the position (or the position is past the end).
int64_t SeekData(int fd, uint64_t position);
int64_t SeekHole(int fd, uint64_t position);

// The size in bytes, for regular files and block devices.
int64_t FileSize(int fd);

// Makes the kernel start to read a range; with `length` 0, up to the end of the file.
int WillNeed(int fd, uint64_t offset, uint64_t length);

}  // namespace overlaybd_nbd
