// Bytes of files into sockets without a copy in between: pages of the page cache go into a pipe,
// and from there into the socket. Knows neither Node nor any format. Every function returns a
// number >= 0, or -errno. No function blocks, except for a page that is being read from a disk,
// or that leaves the cache at that moment.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// A nonblocking pipe, not inherited: ends[0] is to read from. Returns how many bytes it holds, if
// they fill its pages; less than `size` is no error of this function.
int MakePipe(int32_t* ends, size_t size);

// Puts bytes [position, position + length) of a file into a pipe. A short result: the pipe is full,
// or the file ends. -EAGAIN, and nothing is in the pipe: some of them are not in the page cache.
// -EPERM, -EOPNOTSUPP: the kernel does not tell, to this user or of this file system.
ssize_t FillPipe(int file, uint64_t position, int pipe, size_t length);

// Moves at most `length` bytes from a pipe to a nonblocking socket. -EAGAIN: there is no room.
ssize_t DrainPipe(int pipe, int socket, size_t length);

}  // namespace overlaybd_nbd
