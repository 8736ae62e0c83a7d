// The compression libraries of the system, found at run time, so that neither their headers nor
// their packages are needed to build or to start. Knows blocks of bytes, neither Node nor ZFile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace overlaybd_nbd {

// The numbers that JavaScript uses.
enum class Codec { kLz4, kZstd };
constexpr int kCodecCount = 2;

// "1.9.4", or nullptr if the library is not there or lacks a function. Any thread; the libraries
// are looked for once and stay loaded.
const char* CodecVersion(Codec codec);

// What decoding needs to keep from block to block: nothing for LZ4, a context of a few hundred
// KiB for zstd. For one thread at a time.
class BlockCodec {
 public:
  virtual ~BlockCodec() = default;
  // Bytes written to `to`, of which there are at most `capacity`; negative if `from` is no block.
  virtual int64_t Decode(const uint8_t* from, size_t length, uint8_t* to, size_t capacity) = 0;
};

// nullptr if there is no library, or no memory. `Decode` never writes outside its `capacity`.
std::unique_ptr<BlockCodec> MakeBlockCodec(Codec codec);

}  // namespace overlaybd_nbd
