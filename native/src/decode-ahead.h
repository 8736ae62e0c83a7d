// Reads and decodes ranges of blocks on two cores. A range is what one read needs of one file. The
// ranges of one round are announced, a helper begins with the last one, and the caller takes them
// from the first one on. No thread waits for the other for long: what the helper has not decoded in
// time is decoded by the caller. It does not depend on Node.js, and does not know ZFile headers.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>

#include "block-decoder.h"
#include "codec-library.h"

namespace overlaybd_nbd {

// For one calling thread. The helper starts when it is first needed.
class DecodeAhead {
 public:
  static constexpr size_t kMaxRanges = 64;
  // Of all ranges of a round.
  static constexpr size_t kMaxBlocks = 256;
  static constexpr size_t kStoredSize = 512 * 1024;
  static constexpr size_t kPlainSize = 1024 * 1024;

  // Memory of the announced blocks, shared with those who fill and read it.
  using Memory = std::shared_ptr<uint8_t>;

  // Throws std::bad_alloc.
  DecodeAhead();
  ~DecodeAhead();
  DecodeAhead(const DecodeAhead&) = delete;
  DecodeAhead& operator=(const DecodeAhead&) = delete;

  const Memory& stored() const { return stored_; }
  const Memory& plain() const { return plain_; }

  // Begins a round, and forgets the ranges of the round before. False if nothing would be gained,
  // because other threads use the cores, if there is no helper, or if the helper is in a range.
  // Then the ranges of the round before stay, so that the caller can finish them, and none can be
  // added until a round begins: its bytes could be where the helper writes.
  bool Begin();
  // Announces a run in `stored` to be decoded to `plain`. With `fd` >= 0, its bytes are first read
  // from there; the file has to be open for as long as its bytes are wanted. Returns the number of
  // the range; -1 if no round has begun, if that are too many ranges or blocks, if there is no such
  // codec, or if the bytes are not at hand.
  int Add(Codec codec, const BlockRun& run, int fd, uint64_t position);
  // All ranges of the round have been announced: the helper begins.
  void Wake();
  // Whether the range is now decoded. If not, the caller has to read and decode it as if it had not
  // been announced: a block is bad, its bytes are not at hand, or the helper was interrupted in it.
  bool Finish(size_t number);
  // How many ranges the helper has decoded since the start. For tests.
  uint64_t helped() const { return helped_.load(std::memory_order_relaxed); }

 private:
  enum State { kNone, kWaiting, kTaken, kDecoded, kBad };

  struct Range {
    std::atomic<State> state{kNone};
    Codec codec;
    int fd;
    uint64_t position;
    BlockRun run;
  };
  using Codecs = std::array<std::unique_ptr<BlockCodec>, kCodecCount>;

  bool Prepare();
  void Help();
  void HelpWithAll();
  static bool Take(Range* range);
  static void Decode(Range* range, const Codecs& codecs);

  const Memory stored_;
  const Memory plain_;
  std::array<Range, kMaxRanges> ranges_;
  std::atomic<size_t> count_{0};
  std::atomic<uint64_t> helped_{0};
  // Whether ranges can be added.
  bool is_open_ = false;
  // Of all ranges: each has one more than it has blocks.
  std::array<uint32_t, kMaxBlocks + kMaxRanges> bounds_;
  size_t bounds_used_ = 0;
  Codecs own_codecs_;
  Codecs helpers_codecs_;
  std::thread helper_;
  bool cannot_ = false;

  std::mutex mutex_;
  std::condition_variable wanted_;
  // Guarded by the mutex:
  bool is_wanted_ = false;
  bool stop_ = false;
};

}  // namespace overlaybd_nbd
