// Memory of this process: program code that stays in memory, and pages that are returned. It does
// not depend on Node.js. Every function returns a number >= 0, or -errno.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// Locks all file mappings of the process: its program, libraries and addons. All of it becomes
// resident. A server of disks needs that if its own program is on one of them: it could not read a
// page of its code again after the kernel has dropped the page. Returns the bytes; -ENOMEM or
// -EPERM if RLIMIT_MEMLOCK does not allow it, with a part locked. It does not use mlockall: V8
// returns memory with MADV_DONTNEED, which fails on locked memory, and then ends the process (Check
// failed: 0 == ret) when a heap shrinks or a worker ends. Memory without a file can only be written
// to swap; a control group without swap (MemorySwapMax=0) prevents that.
int64_t LockFiles();

// Returns the pages that are completely within the range, which is private memory of the process.
// Afterwards they read as zeros. Returns the bytes.
int64_t ReleasePages(void* data, size_t size);

// Tells glibc how much free memory its heaps may keep. Without it, glibc raises that limit to twice
// the largest block that was ever freed, up to 64 MiB a thread.
void LimitFreeMemory();

// Returns free memory of all heaps of malloc to the system. glibc itself returns only what is free
// at the end of a heap: one block in use there keeps all that was freed below it. Returns 1 if
// something was returned, otherwise 0.
int64_t ReturnFreeMemory();

}  // namespace overlaybd_nbd
