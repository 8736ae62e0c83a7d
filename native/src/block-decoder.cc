// Decodes runs of stored blocks. See block-decoder.h.
#include "block-decoder.h"

#include "crc32c.h"

namespace overlaybd_nbd {

int64_t DecodeBlocks(BlockCodec* codec, const BlockRun& run) {
  const uint32_t crc_size = run.has_crc ? kCrc32cSize : 0;
  uint8_t* out = run.out;
  // Each bound is read once, so that the value that was checked is the value that is used.
  uint32_t start = __atomic_load_n(&run.bounds[0], __ATOMIC_RELAXED);
  for (size_t i = 0; i < run.count; ++i) {
    const uint32_t end = __atomic_load_n(&run.bounds[i + 1], __ATOMIC_RELAXED);
    if (end < start || end - start < crc_size || end > run.size) return kBadRun;
    const uint8_t* const block = run.data + start;
    const uint32_t length = end - start - crc_size;
    const bool is_last = i + 1 == run.count;
    const bool is_begin = is_last && run.last_wanted < run.last_size;
    const size_t want = is_last ? run.last_wanted : run.block_size;
    if (run.has_crc && Crc32c(block, length, run.crc_seed) != LoadCrc32c(block + length)) {
      return static_cast<int64_t>(i);
    }
    const int64_t written = is_begin ? codec->DecodeBegin(block, length, out, want)
                                     : codec->Decode(block, length, out, want);
    if (written != static_cast<int64_t>(want)) return static_cast<int64_t>(i);
    out += want;
    start = end;
  }
  return kAllDecoded;
}

}  // namespace overlaybd_nbd
