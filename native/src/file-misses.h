// Where reads of a file recently waited for the disk. Two that lie close together are worth a
// longer one: a walk through a tree reads many small pieces of the same places. It does not
// depend on Node.js or a format.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

class FileMisses {
 public:
  // Aligned ranges of the file.
  static constexpr uint64_t kRegion = 128 * 1024;
  // Regions of one file that are known. Few, so that reads at random places of a large file seldom
  // meet one of them.
  static constexpr size_t kRegions = 16;

  // Notes a read that has waited for the disk. Any thread may call it.
  // @returns whether the rest of its region should be read ahead: it is the second one there
  bool Note(uint64_t position, uint64_t length) {
    if (length >= kRegion) return false;
    const uint64_t region = position / kRegion;
    std::atomic<uint64_t>& slot = slots_[region % kRegions];
    // If another thread comes in between, a region is read later, or twice.
    const uint64_t before = slot.load(std::memory_order_relaxed);
    const uint64_t once = region << 1 | 1;
    if (before == once + 1) return false;
    slot.store(before == once ? once + 1 : once, std::memory_order_relaxed);
    return before == once;
  }

 private:
  // 0: none; else an odd number, of a region with one read, or the next one, of a region with more.
  std::array<std::atomic<uint64_t>, kRegions> slots_{};
};

}  // namespace overlaybd_nbd
