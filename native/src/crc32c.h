// CRC-32C as OverlayBD uses it: the raw register, without the usual inversion before and after
// ("Checksums" in docs/formats.md). It does not depend on Node.js, and does not know ZFile headers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// The register after `length` bytes, starting from `seed`. Uses the CPU's instruction if there is
// one.
uint32_t Crc32c(const uint8_t* data, size_t length, uint32_t seed);

// A CRC as it is stored after a block, little-endian.
constexpr uint32_t kCrc32cSize = 4;
inline uint32_t LoadCrc32c(const uint8_t* data) {
  return static_cast<uint32_t>(data[0]) | static_cast<uint32_t>(data[1]) << 8 |
         static_cast<uint32_t>(data[2]) << 16 | static_cast<uint32_t>(data[3]) << 24;
}

// Checks `count` blocks of `data`: block i is [bounds[i], bounds[i + 1]), and its last four bytes
// are the little-endian CRC of the bytes before them. Returns kAllMatch, or the index of the first
// block that does not match, or kBadBounds if a block is shorter than its CRC or outside `size`.
// Another thread may write to `bounds`: bytes outside `data` are never read.
constexpr int64_t kAllMatch = -1;
constexpr int64_t kBadBounds = -2;
int64_t VerifyBlocks(const uint8_t* data, size_t size, const uint32_t* bounds, size_t count,
                     uint32_t seed);

}  // namespace overlaybd_nbd
