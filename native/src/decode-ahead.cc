// Reads and decodes ranges of blocks on two cores. See decode-ahead.h.
#include "decode-ahead.h"

#include <algorithm>
#include <chrono>

#include "decoding-threads.h"
#include "file-table.h"
#include "file.h"
#include "helper-thread.h"
#include "pause.h"

namespace overlaybd_nbd {
namespace {

// The longest that a caller looks for the end of a range that the helper decodes, for each 64 KiB
// in it or a part of them: zstd takes 70 us for 64 KiB. After that the helper may not be running at
// all.
constexpr std::chrono::microseconds kPatience{100};
constexpr size_t kPatienceBytes = 64 * 1024;

std::chrono::microseconds PatienceFor(const BlockRun& run) {
  const size_t bytes = (run.count - 1) * run.block_size + run.last_wanted;
  return kPatience * static_cast<int64_t>((bytes + kPatienceBytes - 1) / kPatienceBytes);
}

DecodeAhead::Memory NewMemory(size_t size) {
  return {new uint8_t[size], std::default_delete<uint8_t[]>()};
}

}  // namespace

DecodeAhead::DecodeAhead() : stored_(NewMemory(kStoredSize)), plain_(NewMemory(kPlainSize)) {}

DecodeAhead::~DecodeAhead() {
  if (!helper_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wanted_.notify_one();
  helper_.join();
}

bool DecodeAhead::Begin() {
  is_open_ = false;
  if (!DecodingThread::IsCoreFree(1) || !Prepare()) return false;
  const size_t count = count_.load(std::memory_order_relaxed);
  for (size_t i = 0; i < count; ++i) {
    if (ranges_[i].state.load(std::memory_order_acquire) == kTaken) return false;
  }
  for (size_t i = 0; i < count; ++i) {
    if (Take(&ranges_[i])) {
      // Now the helper cannot take it any more.
      ranges_[i].state.store(kNone, std::memory_order_relaxed);
    } else if (ranges_[i].state.load(std::memory_order_acquire) == kTaken) {
      // The helper has taken it since. Those that were taken from it above are not decoded.
      return false;
    }
  }
  count_.store(0, std::memory_order_relaxed);
  bounds_used_ = 0;
  is_open_ = true;
  return true;
}

int DecodeAhead::Add(Codec codec, const BlockRun& run, int fd, uint64_t position) {
  const size_t number = count_.load(std::memory_order_relaxed);
  if (!is_open_ || number == kMaxRanges || run.count >= bounds_.size() - bounds_used_) return -1;
  const auto kind = static_cast<size_t>(codec);
  if (own_codecs_[kind] == nullptr) own_codecs_[kind] = MakeBlockCodec(codec);
  // Published with the state of the first range that needs it.
  if (helpers_codecs_[kind] == nullptr) helpers_codecs_[kind] = MakeBlockCodec(codec);
  if (own_codecs_[kind] == nullptr || helpers_codecs_[kind] == nullptr) return -1;
  Range& range = ranges_[number];
  range.run = run;
  range.run.bounds = bounds_.data() + bounds_used_;
  std::copy_n(run.bounds, run.count + 1, bounds_.data() + bounds_used_);
  const uint32_t length = range.run.bounds[run.count];
  if (length > run.size) return -1;
  range.run.size = length;
  range.codec = codec;
  range.position = position;
  range.fd = fd;
  if (fd >= 0) {
    // What the table knows of a file is gone when it is closed. The helper asks the system only: a
    // descriptor that is closed meanwhile gives an error, or bytes of another file. Nobody takes
    // these: callers know a range by the number of its owner, which ends with its files and which
    // no later owner gets.
    const FileEntry* const entry = FindFile(fd);
    if (entry != nullptr && entry->access != FileAccess::kNoWait) {
      auto* const to = const_cast<uint8_t*>(run.data);
      if (ReadAtHand(fd, to, length, position) != static_cast<ssize_t>(length)) return -1;
      range.fd = -1;
    }
  }
  bounds_used_ += run.count + 1;
  range.state.store(kWaiting, std::memory_order_release);
  count_.store(number + 1, std::memory_order_release);
  return static_cast<int>(number);
}

void DecodeAhead::Wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_wanted_ = true;
  }
  wanted_.notify_one();
}

bool DecodeAhead::Finish(size_t number) {
  if (number >= count_.load(std::memory_order_relaxed)) return false;
  Range& range = ranges_[number];
  if (Take(&range)) {
    const DecodingThread now;
    Decode(&range, own_codecs_);
  }
  State state = range.state.load(std::memory_order_acquire);
  if (state == kTaken) {
    const auto end = std::chrono::steady_clock::now() + PatienceFor(range.run);
    do {
      Pause();
      state = range.state.load(std::memory_order_acquire);
    } while (state == kTaken && std::chrono::steady_clock::now() < end);
  }
  return state == kDecoded;
}

bool DecodeAhead::Take(Range* range) {
  State waiting = kWaiting;
  return range->state.compare_exchange_strong(waiting, kTaken, std::memory_order_acquire,
                                              std::memory_order_relaxed);
}

void DecodeAhead::Decode(Range* range, const Codecs& codecs) {
  const BlockRun& run = range->run;
  bool is_decoded = true;
  if (range->fd >= 0) {
    const ssize_t n =
        PreadNoWait(range->fd, const_cast<uint8_t*>(run.data), run.size, range->position);
    is_decoded = n == static_cast<ssize_t>(run.size);
  }
  BlockCodec* const codec = codecs[static_cast<size_t>(range->codec)].get();
  is_decoded = is_decoded && DecodeBlocks(codec, run) == kAllDecoded;
  range->state.store(is_decoded ? kDecoded : kBad, std::memory_order_release);
}

// Whether there is a helper.
bool DecodeAhead::Prepare() {
  if (helper_.joinable() || cannot_) return !cannot_;
  cannot_ = !StartHelper(&helper_, [this] { Help(); });
  return !cannot_;
}

void DecodeAhead::Help() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wanted_.wait(lock, [this] { return stop_ || is_wanted_; });
    if (stop_) return;
    is_wanted_ = false;
    lock.unlock();
    HelpWithAll();
    lock.lock();
  }
}

// From the last range on, because the caller begins with the first one.
void DecodeAhead::HelpWithAll() {
  for (size_t i = count_.load(std::memory_order_acquire); i-- > 0;) {
    if (!DecodingThread::IsCoreFree()) return;
    if (!Take(&ranges_[i])) continue;
    // Before the range is done: then a round that begins finds all of them counted.
    helped_.fetch_add(1, std::memory_order_relaxed);
    const DecodingThread now;
    Decode(&ranges_[i], helpers_codecs_);
  }
}

}  // namespace overlaybd_nbd
