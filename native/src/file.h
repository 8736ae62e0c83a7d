// Reading files and block devices by descriptor. Knows neither Node nor any format.
// Every function returns a number >= 0, or -errno.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// Reads until `length` bytes are there or the file ends. An error after some bytes is an error:
// a short result always means the end of the file.
ssize_t PreadFull(int fd, void* data, size_t length, uint64_t position);

// Reads only what needs no waiting for a disk (RWF_NOWAIT). Less than `length`: the rest is not
// in the page cache, or the file ends. -EAGAIN: nothing of it is there. -EOPNOTSUPP: the file
// system cannot tell.
ssize_t PreadNoWait(int fd, void* data, size_t length, uint64_t position);

// -ENXIO when there is no data (or the position is past the end).
int64_t SeekData(int fd, uint64_t position);
int64_t SeekHole(int fd, uint64_t position);

// Bytes, of regular files and block devices alike.
int64_t FileSize(int fd);

// Makes the system begin to read a range; `length` 0 means up to the end of the file.
int WillNeed(int fd, uint64_t offset, uint64_t length);

}  // namespace overlaybd_nbd
