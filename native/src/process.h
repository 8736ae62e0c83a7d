// What a long-running process asks of the system for itself: a lock, a word to its service manager,
// code that stays in memory, memory that goes back, capabilities. Knows no Node. Every function
// returns a number >= 0, or -errno.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// Held by the open file, also through descriptors that a child inherits. -EWOULDBLOCK.
int LockFile(int fd);

int SetCloexec(int fd, bool on);

// One datagram; "@" in front of the path means abstract. -EAGAIN if the receiver is behind.
int Notify(const char* path, size_t path_length, const char* text, size_t text_length);

// Locks what the process has mapped of files: its program, libraries and addons. All of it becomes
// resident. That is what a server of disks needs, should its program lie on one of them: a page of
// code could not be read any more once it has been dropped. Returns the bytes; -ENOMEM or -EPERM if
// RLIMIT_MEMLOCK does not allow it, with a part locked.
//
// Not mlockall: V8 gives memory back with MADV_DONTNEED, which fails on locked memory, and then
// ends the process (Check failed: 0 == ret) when a heap shrinks or a worker ends. What has no file
// can only be written to swap; a control group without any (MemorySwapMax=0) keeps it.
int64_t LockFiles();

// Gives back the pages that lie wholly within the range, which is private memory of the process.
// They read as zeros from then on. Returns the bytes.
int64_t ReleasePages(void* data, size_t size);

// Of the calling thread; threads and programs that it starts inherit it.
int SetIoFlusher();

// Ends the process with the code after so long, whatever its other threads wait for: exit joins
// those of Node, and would wait with them.
int ExitWithin(unsigned milliseconds, int code);

// Whether the calling thread has it in effect: 1 or 0.
int HasCapability(unsigned capability);

}  // namespace overlaybd_nbd
