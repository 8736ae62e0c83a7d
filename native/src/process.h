// What a long-running process asks of the system for itself: a message to its service manager, a
// mark on its threads, an end in time, capabilities. Knows no Node. Every function returns a number
// >= 0, or -errno.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// One datagram; "@" in front of the path means abstract. -EAGAIN if the receiver's queue is full.
int Notify(const char* path, size_t path_length, const char* text, size_t text_length);

// Of the calling thread; threads and programs that it starts inherit it.
int SetIoFlusher();

// Ends the process with the code after this time, whatever its other threads wait for: exit joins
// the threads of Node, and would wait with them.
int ExitWithin(unsigned milliseconds, int code);

// Whether the calling thread has it in effect: 1 or 0.
int HasCapability(unsigned capability);

}  // namespace overlaybd_nbd
