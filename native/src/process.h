// Calls of a long-running process to the system about itself: a message to its service manager, a
// mark on its threads, an exit within a time limit, capabilities. It does not depend on Node.js.
// Every function returns a number >= 0, or -errno.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// Sends one datagram; "@" at the start of the path means abstract. -EAGAIN if the receiver's queue
// is full.
int Notify(const char* path, size_t path_length, const char* text, size_t text_length);

// For the calling thread; threads and programs that it starts inherit it.
int SetIoFlusher();

// Ends the process with the code after this time, even if other threads are waiting: exit would
// join the threads of Node.js, and wait with them.
int ExitWithin(unsigned milliseconds, int code);

// Whether the calling thread has the capability in effect: 1 or 0.
int HasCapability(unsigned capability);

}  // namespace overlaybd_nbd
