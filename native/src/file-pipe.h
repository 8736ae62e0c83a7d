// Moves bytes of files into sockets without a copy: pages of the page cache go into a pipe, and
// from there into the socket. It does not depend on Node.js or a format. Every function returns a
// number >= 0, or -errno. No function blocks, except for a page that is being read from a disk, or
// that leaves the cache at that moment.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// Makes a nonblocking, close-on-exec pipe; ends[0] is the read end. Returns how many bytes it holds
// if they fill its pages; less than `size` is not an error.
int MakePipe(int32_t* ends, size_t size);

// Puts bytes [position, position + length) of a file into a pipe. A short result means that the
// pipe is full, or that the file ends. -EAGAIN: some of the bytes are not in the page cache, and
// nothing is in the pipe. -EPERM, -EOPNOTSUPP: the kernel does not tell this user, or not for this
// file system.
ssize_t FillPipe(int file, uint64_t position, int pipe, size_t length);

// Moves at most `length` bytes from a pipe to a nonblocking socket. -EAGAIN: the socket is full.
ssize_t DrainPipe(int pipe, int socket, size_t length);

}  // namespace overlaybd_nbd
