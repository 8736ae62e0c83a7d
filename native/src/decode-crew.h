// Decodes long runs of blocks on two cores: the calling thread, and a helper that takes pieces of
// the same run. If the helper is not scheduled in time, the caller decodes everything itself and
// does not wait. It does not depend on Node.js, and does not know ZFile headers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "block-decoder.h"
#include "codec-library.h"

namespace overlaybd_nbd {

// For one calling thread and one codec. The helper starts when it is first needed.
class DecodeCrew {
 public:
  explicit DecodeCrew(Codec kind) : kind_(kind) {}
  ~DecodeCrew();
  DecodeCrew(const DecodeCrew&) = delete;
  DecodeCrew& operator=(const DecodeCrew&) = delete;

  // Like DecodeBlocks, with this thread and helpers. `codec` is that of the caller.
  int64_t Decode(BlockCodec* codec, const BlockRun& run);

 private:
  struct Job;

  bool Prepare();
  void Help();

  const Codec kind_;
  std::unique_ptr<BlockCodec> helpers_codec_;
  std::thread helper_;
  bool cannot_ = false;

  std::mutex mutex_;
  std::condition_variable wanted_;
  std::condition_variable done_;
  // Guarded by the mutex:
  Job* job_ = nullptr;
  bool helping_ = false;
  bool stop_ = false;
};

}  // namespace overlaybd_nbd
