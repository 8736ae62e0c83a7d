// Chooses the CRC-32C implementation, and checks runs of blocks. The arithmetic is elsewhere.
#include "crc32c.h"

#include <initializer_list>

#include "crc32c-implementations.h"

namespace overlaybd_nbd {
namespace {

Crc32cFunction Choose() {
  for (const Crc32cFunction candidate : {Crc32cX86Interleaved(), Crc32cX86Serial(), Crc32cArm()}) {
    if (candidate != nullptr) return candidate;
  }
  return Crc32cTable;
}

}  // namespace

uint32_t Crc32c(const uint8_t* data, size_t length, uint32_t seed) {
  static const Crc32cFunction chosen = Choose();
  return chosen(data, length, seed);
}

int64_t VerifyBlocks(const uint8_t* data, size_t size, const uint32_t* bounds, size_t count,
                     uint32_t seed) {
  int64_t first_bad = kAllMatch;
  // Each bound is read once, so that the value that was checked is the value that is used.
  uint32_t start = __atomic_load_n(&bounds[0], __ATOMIC_RELAXED);
  for (size_t i = 0; i < count; ++i) {
    const uint32_t end = __atomic_load_n(&bounds[i + 1], __ATOMIC_RELAXED);
    if (end < start || end - start < kCrc32cSize || end > size) return kBadBounds;
    if (first_bad == kAllMatch) {
      const uint32_t payload = end - start - kCrc32cSize;
      const uint8_t* block = data + start;
      if (Crc32c(block, payload, seed) != LoadCrc32c(block + payload)) {
        first_bad = static_cast<int64_t>(i);
      }
    }
    start = end;
  }
  return first_bad;
}

}  // namespace overlaybd_nbd
