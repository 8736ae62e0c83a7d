// Memory of this process: program code that stays, and pages that go back. Knows no Node. Every
// function returns a number >= 0, or -errno.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

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

}  // namespace overlaybd_nbd
