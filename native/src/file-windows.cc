// Windows of files in memory, replaced by the clock algorithm. See file-windows.h.
#include "file-windows.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace overlaybd_nbd {

FileWindows& FileWindows::Instance() {
  static auto* const instance = new FileWindows;
  return *instance;
}

uint32_t FileWindows::Free(Shard& shard) {
  for (;;) {
    const uint32_t at = shard.hand;
    Slot& slot = shard.ring[at];
    shard.hand = (at + 1) % kWindowsPerShard;
    if (slot.length == 0) return at;
    if (slot.used) {
      slot.used = false;
      continue;
    }
    shard.slots.erase(slot.key);
    return at;
  }
}

void FileWindows::Keep(int fd, uint64_t position, const void* data, size_t length,
                       Clock::time_point now, Changes changes) {
  if (length == 0) return;
  const uint64_t window = position / kWindow;
  const uint64_t key = KeyOf(fd, window);
  Shard& shard = ShardOf(window);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  if (changes.count != nullptr && changes.count->load() != changes.seen) return;
  if (shard.bytes == nullptr) shard.bytes.reset(new uint8_t[kWindowsPerShard * kWindow]);
  const auto found = shard.slots.find(key);
  const uint32_t at = found == shard.slots.end() ? Free(shard) : found->second;
  shard.slots[key] = at;
  shard.ring[at] = {key, static_cast<uint32_t>(length), true, now};
  memcpy(shard.bytes.get() + at * kWindow, data, length);
}

ssize_t FileWindows::Read(int fd, void* data, size_t length, uint64_t position,
                          Clock::time_point now) {
  auto* const out = static_cast<uint8_t*>(data);
  size_t done = 0;
  while (done < length) {
    const uint64_t window = (position + done) / kWindow;
    const size_t within = (position + done) % kWindow;
    Shard& shard = ShardOf(window);
    const std::lock_guard<std::mutex> lock(shard.mutex);
    const auto found = shard.slots.find(KeyOf(fd, window));
    if (found == shard.slots.end()) break;
    Slot& slot = shard.ring[found->second];
    if (slot.length <= within || now - slot.kept > kMaxAge) break;
    const size_t n = std::min(slot.length - within, length - done);
    memcpy(out + done, shard.bytes.get() + found->second * kWindow + within, n);
    slot.used = true;
    done += n;
  }
  return done == 0 && length > 0 ? -EAGAIN : static_cast<ssize_t>(done);
}

void FileWindows::Forget(int fd) {
  for (Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    for (Slot& slot : shard.ring) {
      if (slot.length == 0 || slot.key >> 44 != static_cast<uint64_t>(fd)) continue;
      shard.slots.erase(slot.key);
      slot.length = 0;
    }
  }
}

}  // namespace overlaybd_nbd
