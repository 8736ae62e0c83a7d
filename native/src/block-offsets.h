// A table of where blocks begin, from the list of their lengths: an offset in the file for each
// group of blocks, and for each block a small one from there. It does not depend on Node.js, and
// knows no format.
#pragma once

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

struct BlockOffsets {
  // Of the first block of each group of 2^group_shift.
  double* groups;
  size_t group_count;
  unsigned group_shift;
  // For every block and for the end of the last one, native u16 or u32.
  uint8_t* deltas;
  size_t delta_count;
  bool is_wide;
};

struct LengthLimits {
  uint32_t min;
  uint32_t max;
  // Blocks end there at the latest.
  uint64_t end;
};

constexpr size_t kNoRoom = SIZE_MAX;

// Adds `count` blocks, from little-endian u32 lengths, to a table that has `next` blocks, which end
// at `offset`. Returns how many it took: it stops at the first that is not within the limits. If
// the table has no room for all, it returns kNoRoom and writes nothing.
size_t AddLengths(const BlockOffsets& table, size_t next, uint64_t offset, const uint8_t* lengths,
                  size_t count, const LengthLimits& limits);

}  // namespace overlaybd_nbd
