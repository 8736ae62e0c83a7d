// Descriptors of any kind, and descriptors that travel over a Unix stream socket with its bytes
// (SCM_RIGHTS). Knows no Node and no protocol. Every function returns a number >= 0, or -errno. No
// function waits.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

int CloseDescriptor(int fd);

// Moves a descriptor out of the way of standard input, output and error, and puts /dev/null in its
// place. Returns the new one, which is not inherited.
int TakeStandard(int fd);

// Held by the open file, also through descriptors that a child inherits. -EWOULDBLOCK.
int LockFile(int fd);

int SetCloexec(int fd, bool on);

// Fewer than the kernel's limit for one message, which is 253.
constexpr size_t kMaxDescriptors = 64;

// They travel with the first byte, so `length` must be at least 1. They stay open here.
ssize_t SendDescriptors(int fd, const void* data, size_t length, const int32_t* descriptors,
                        size_t count);

// Fills `descriptors` from the front, not inherited further; the rest becomes -1. -EMSGSIZE if some
// had no room there, or none in the process: those that came are closed, and the bytes are lost.
ssize_t RecvDescriptors(int fd, void* data, size_t length, int32_t* descriptors, size_t count);

}  // namespace overlaybd_nbd
