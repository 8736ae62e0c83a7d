// Descriptors of any kind, and descriptors that are sent over a Unix stream socket with its bytes
// (SCM_RIGHTS). It does not depend on Node.js or a protocol. Every function returns a number >= 0,
// or -errno. No function waits.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

int CloseDescriptor(int fd);

// Moves a descriptor away from the numbers of standard input, output and error, and puts /dev/null
// in its place. Returns the new one, which children do not inherit.
int TakeStandard(int fd);

// Locks the open file, also for descriptors that a child inherits. -EWOULDBLOCK.
int LockFile(int fd);

int SetCloexec(int fd, bool on);

// Fewer than the kernel's limit for one message, which is 253.
constexpr size_t kMaxDescriptors = 64;

// They are sent with the first byte, so `length` must be at least 1. They stay open here.
ssize_t SendDescriptors(int fd, const void* data, size_t length, const int32_t* descriptors,
                        size_t count);

// Fills `descriptors` from the front, close-on-exec; the rest becomes -1. -EMSGSIZE if there was no
// room for all of them, in the array or in the process: then they are closed, and the bytes are
// lost.
ssize_t RecvDescriptors(int fd, void* data, size_t length, int32_t* descriptors, size_t count);

}  // namespace overlaybd_nbd
