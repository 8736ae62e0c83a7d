// What threads of the pool do with the files of the cache of registry blobs. Everything here may
// wait for a disk. Knows neither Node nor the format of the cache. See file-jobs.h.
#pragma once

#include <cstdint>

#include "file-jobs.h"

namespace overlaybd_nbd {

// Opens a file to read and write it; makes it, with this size, if `create` is set and it is not
// there. -ENOTBLK: not a regular file. `outcome->values`: its size, and 1 if it was made.
int OpenCacheFile(const FileJobRequest& request, FileJobOutcome* outcome);

// Writes `bytes` at `position`, then `record` at `record_position` of `second`. A record is
// therefore never older than its bytes, for any process of this machine.
int StoreChunk(const FileJobRequest& request);

// The CRC-32C of a range, from `seed` on; -ENODATA if the file ends before.
int64_t ChecksumRange(const FileJobRequest& request);

// Writes `record`, which holds zeros, at `record_position` of `second`; then gives `length` bytes
// at `position` back to the disk, if there are any.
int PunchRange(const FileJobRequest& request);

}  // namespace overlaybd_nbd
