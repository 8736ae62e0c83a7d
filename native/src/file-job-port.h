// Starts jobs of the file pool for the environment of a call. See file-pool-binding.cc.
#pragma once

#include <napi.h>

#include <cstdint>

#include "file-jobs.h"

namespace overlaybd_nbd {

// `info.Data()` is what ExportFileJobs returned. @returns 0 or -errno
int StartJobOf(const Napi::CallbackInfo& info, uint64_t id, FileJobRequest request);

}  // namespace overlaybd_nbd
