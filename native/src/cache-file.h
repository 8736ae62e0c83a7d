// Locks of cache files, and memory that is read like a file. Knows neither Node nor the format of
// the cache. Every function returns a number >= 0, or -errno.
#pragma once

#include <cstdint>

namespace overlaybd_nbd {

enum class RangeLock { kNone = 0, kShared = 1, kExclusive = 2 };

// Locks a range of the file for this open file description (F_OFD_SETLK), or changes or ends its
// lock. Does not wait: -EAGAIN if another one holds a lock that is in the way. The kernel ends the
// lock when the last descriptor of the description is closed, however the process ends.
int LockRange(int fd, uint64_t position, uint64_t length, RangeLock lock);

// A new file in memory (memfd) of this size; only what is written takes memory.
int MakeMemoryFile(const char* name, uint64_t size);

}  // namespace overlaybd_nbd
