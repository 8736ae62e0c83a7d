// Bytes of files that only threads can read, kept for the reads that wait for them: a bounded cache
// of the process. It does not depend on Node.js or a format.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace overlaybd_nbd {

class FileWindows {
 public:
  // Aligned ranges of a file; threads read whole ones.
  static constexpr size_t kWindow = 16 * 1024;
  static constexpr size_t kShards = 8;
  static constexpr size_t kWindowsPerShard = 256;
  // 32 MiB: bytes that threads have read wait here, and are used within moments.
  static constexpr size_t kCapacity = kWindow * kShards * kWindowsPerShard;

  using Clock = std::chrono::steady_clock;
  // After this time bytes are read again, so that a repair in place is noticed.
  static constexpr std::chrono::seconds kMaxAge{5};

  // Never destroyed: a stuck thread may still return.
  static FileWindows& Instance();

  // When bytes were read: they are kept only if `*count` is `seen` still, so that bytes that were
  // read before a change of the file are not kept after `Forget`, which comes after the change.
  struct Changes {
    const std::atomic<uint32_t>* count;
    uint32_t seen;
  };

  // Keeps `length` bytes, at most a window, of the window that begins at `position`.
  void Keep(int fd, uint64_t position, const void* data, size_t length,
            Clock::time_point now = Clock::now(), Changes changes = {nullptr, 0});
  // How many bytes of the range are here, from its start; -EAGAIN if none are.
  ssize_t Read(int fd, void* data, size_t length, uint64_t position,
               Clock::time_point now = Clock::now());
  // Called before the descriptor is closed, and after a change of the file was counted.
  void Forget(int fd);

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t length = 0;  // 0: free
    bool used = false;    // since the hand came by
    Clock::time_point kept{};
  };

  struct Shard {
    std::mutex mutex;
    std::unordered_map<uint64_t, uint32_t> slots;
    std::array<Slot, kWindowsPerShard> ring;
    std::unique_ptr<uint8_t[]> bytes;  // made when first needed
    uint32_t hand = 0;
  };

  static uint64_t KeyOf(int fd, uint64_t window) {
    return static_cast<uint64_t>(fd) << 44 | window;
  }
  Shard& ShardOf(uint64_t window) { return shards_[window % kShards]; }
  static uint32_t Free(Shard& shard);

  std::array<Shard, kShards> shards_;
};

}  // namespace overlaybd_nbd
