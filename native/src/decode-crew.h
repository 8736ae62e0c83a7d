// Decodes long runs of blocks on two cores: the calling thread, and a helper of its own that takes
// pieces of the same run while there are some. When the helper is not scheduled in time the caller
// has done them all itself, and waits for nothing. Knows neither Node nor ZFile headers.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "block-decoder.h"
#include "codec-library.h"

namespace overlaybd_nbd {

// For one calling thread and one codec. The helper is had when it is first needed.
class DecodeCrew {
 public:
  explicit DecodeCrew(Codec kind) : kind_(kind) {}
  ~DecodeCrew();
  DecodeCrew(const DecodeCrew&) = delete;
  DecodeCrew& operator=(const DecodeCrew&) = delete;

  // As DecodeBlocks, by this thread and helpers. `codec` is the caller's own.
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
  // Under the mutex:
  Job* job_ = nullptr;
  bool helping_ = false;
  bool stop_ = false;
};

}  // namespace overlaybd_nbd
