// Decodes long runs of blocks on two cores. See decode-crew.h.
#include "decode-crew.h"

#include <algorithm>

#include "decoding-threads.h"
#include "helper-thread.h"

namespace overlaybd_nbd {
namespace {

// Waking a thread takes about 5 us, and zstd takes about 200 us for this many bytes.
constexpr size_t kMinBytes = 128 * 1024;
constexpr size_t kMinBlocks = 4;
// Bytes that a thread decodes before it takes the next piece; 16 KiB of zstd take about 25 us.
constexpr size_t kPieceBytes = 16 * 1024;

struct Outcome {
  // The index of the first bad block.
  size_t block = SIZE_MAX;
  int64_t result = kAllDecoded;
};

}  // namespace

struct DecodeCrew::Job {
  const BlockRun& run;
  const size_t piece;
  // Pieces are taken from the front, so all pieces before a bad block have been taken when it is
  // found.
  std::atomic<size_t> next{0};
  Outcome helped{};

  Outcome Work(BlockCodec* codec) {
    for (;;) {
      const size_t first = next.fetch_add(piece, std::memory_order_relaxed);
      if (first >= run.count) return {};
      BlockRun part = run;
      part.bounds = run.bounds + first;
      part.out = run.out + first * run.block_size;
      part.count = std::min(piece, run.count - first);
      if (first + part.count < run.count) part.last_size = part.last_wanted = run.block_size;
      const int64_t result = DecodeBlocks(codec, part);
      if (result == kAllDecoded) continue;
      // No thread takes another piece.
      next.store(run.count, std::memory_order_relaxed);
      if (result == kBadRun) return {first, kBadRun};
      const size_t block = first + static_cast<size_t>(result);
      return {block, static_cast<int64_t>(block)};
    }
  }
};

DecodeCrew::~DecodeCrew() {
  if (!helper_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wanted_.notify_one();
  helper_.join();
}

int64_t DecodeCrew::Decode(BlockCodec* codec, const BlockRun& run) {
  const DecodingThread now;
  if (run.count < kMinBlocks || run.count * run.block_size < kMinBytes) {
    return DecodeBlocks(codec, run);
  }
  if (!DecodingThread::IsCoreFree() || !Prepare()) return DecodeBlocks(codec, run);

  Job job{run, std::max<size_t>(1, kPieceBytes / run.block_size)};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    job_ = &job;
  }
  wanted_.notify_one();
  Outcome outcome = job.Work(codec);
  {
    std::unique_lock<std::mutex> lock(mutex_);
    job_ = nullptr;
    done_.wait(lock, [this] { return !helping_; });
  }
  if (job.helped.block < outcome.block) outcome = job.helped;
  return outcome.result;
}

// Whether there is a helper.
bool DecodeCrew::Prepare() {
  if (cannot_) return false;
  if (helpers_codec_ == nullptr) helpers_codec_ = MakeBlockCodec(kind_);
  if (helpers_codec_ == nullptr) return false;
  if (helper_.joinable()) return true;
  cannot_ = !StartHelper(&helper_, [this] { Help(); });
  return !cannot_;
}

void DecodeCrew::Help() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wanted_.wait(lock, [this] { return stop_ || job_ != nullptr; });
    if (stop_) return;
    Job& job = *job_;
    job_ = nullptr;
    helping_ = true;
    lock.unlock();
    {
      const DecodingThread now;
      job.helped = job.Work(helpers_codec_.get());
    }
    lock.lock();
    helping_ = false;
    done_.notify_one();
  }
}

}  // namespace overlaybd_nbd
