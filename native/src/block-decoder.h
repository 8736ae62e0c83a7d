// Decodes runs of stored blocks: CRC, decompression and exact size of each. Knows neither Node nor
// ZFile headers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec-library.h"

namespace overlaybd_nbd {

// Blocks that follow each other, and where their plain bytes go, which follow each other too.
struct BlockRun {
  const uint8_t* data;
  size_t size;
  // Block i is [bounds[i], bounds[i + 1]) of `data`. May be memory that another thread writes:
  // nothing outside `data` is ever read.
  const uint32_t* bounds;
  size_t count;
  // Whether the last four bytes of each block are the little-endian CRC of those before them.
  bool has_crc;
  uint32_t crc_seed;
  // Room for count - 1 blocks of `block_size` bytes and one of `last_size`.
  uint8_t* out;
  size_t block_size;
  size_t last_size;
};

constexpr int64_t kAllDecoded = -1;
constexpr int64_t kBadRun = -2;

// kAllDecoded, or the index of the first block whose CRC is wrong or that does not decode to its
// size, or kBadRun if a block's bounds are in disorder, outside `data`, or too narrow for its CRC.
// Bytes of `out` may be in any state from the block on that is not good.
int64_t DecodeBlocks(BlockCodec* codec, const BlockRun& run);

}  // namespace overlaybd_nbd
