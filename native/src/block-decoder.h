// Decodes runs of stored blocks: CRC, decompression and exact size of each. It does not depend on
// Node.js, and does not know ZFile headers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec-library.h"

namespace overlaybd_nbd {

// Adjacent blocks, and the destination of their plain bytes, which are adjacent too.
struct BlockRun {
  const uint8_t* data;
  size_t size;
  // Block i is [bounds[i], bounds[i + 1]) of `data`. Another thread may write to this memory: bytes
  // outside `data` are never read.
  const uint32_t* bounds;
  size_t count;
  // Whether the last four bytes of each block are the little-endian CRC of those before them.
  bool has_crc;
  uint32_t crc_seed;
  // Room for count - 1 blocks of `block_size` bytes and one of `last_size`.
  uint8_t* out;
  size_t block_size;
  size_t last_size;
  // How many bytes of the last block are decoded. Fewer than last_size only if the codec can stop
  // in a block; `out` needs no room for the others.
  size_t last_wanted;
};

constexpr int64_t kAllDecoded = -1;
constexpr int64_t kBadRun = -2;

// kAllDecoded; or the index of the first block whose CRC is wrong or that does not decode to its
// size (to the bytes that are wanted of it); or kBadRun if a block's bounds are not in order,
// outside `data`, or too narrow for its CRC. From the first bad block on, bytes of `out` have any
// value.
int64_t DecodeBlocks(BlockCodec* codec, const BlockRun& run);

}  // namespace overlaybd_nbd
