// See block-offsets.h.
#include "block-offsets.h"

#include <cstring>

namespace overlaybd_nbd {
namespace {

uint32_t LoadLength(const uint8_t* data) {
  return static_cast<uint32_t>(data[0]) | static_cast<uint32_t>(data[1]) << 8 |
         static_cast<uint32_t>(data[2]) << 16 | static_cast<uint32_t>(data[3]) << 24;
}

template <typename Delta>
size_t Add(const BlockOffsets& table, size_t next, uint64_t offset, const uint8_t* lengths,
           size_t count, const LengthLimits& limits) {
  const size_t mask = (size_t{1} << table.group_shift) - 1;
  Delta delta;
  std::memcpy(&delta, table.deltas + next * sizeof delta, sizeof delta);
  uint64_t group = offset - delta;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t length = LoadLength(lengths + i * 4);
    if (length < limits.min || length > limits.max || offset + length > limits.end) return i;
    offset += length;
    ++next;
    if ((next & mask) == 0) {
      group = offset;
      table.groups[next >> table.group_shift] = static_cast<double>(offset);
    }
    delta = static_cast<Delta>(offset - group);
    std::memcpy(table.deltas + next * sizeof delta, &delta, sizeof delta);
  }
  return count;
}

}  // namespace

size_t AddLengths(const BlockOffsets& table, size_t next, uint64_t offset, const uint8_t* lengths,
                  size_t count, const LengthLimits& limits) {
  if (next >= table.delta_count || count >= table.delta_count - next) return kNoRoom;
  if ((next + count) >> table.group_shift >= table.group_count) return kNoRoom;
  const auto add = table.is_wide ? Add<uint32_t> : Add<uint16_t>;
  return add(table, next, offset, lengths, count, limits);
}

}  // namespace overlaybd_nbd
