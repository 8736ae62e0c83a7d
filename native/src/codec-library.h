// The compression libraries of the system, loaded at run time, so that neither their headers nor
// their packages are needed to build or to start. It decodes blocks of bytes, and does not depend
// on Node.js or ZFile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace overlaybd_nbd {

// The numbers that JavaScript uses.
enum class Codec { kLz4, kZstd };
constexpr int kCodecCount = 2;

// "1.9.4", or nullptr if the library is missing or lacks a function. For any thread; the libraries
// are loaded once and stay loaded.
const char* CodecVersion(Codec codec);

// Whether the library can stop in a block, for `BlockCodec::DecodeBegin`.
bool CanDecodeBegin(Codec codec);

// The state that decoding keeps between blocks: nothing for LZ4, a context of a few hundred KiB for
// zstd. For one thread at a time.
class BlockCodec {
 public:
  virtual ~BlockCodec() = default;
  // The bytes written to `to`, at most `capacity`; negative if `from` is not a valid block.
  virtual int64_t Decode(const uint8_t* from, size_t length, uint8_t* to, size_t capacity) = 0;
  // Decodes until `to` has `wanted` bytes, and does not look at what follows. The bytes written:
  // fewer if the block has fewer; negative if it is not valid so far, or if the codec cannot.
  virtual int64_t DecodeBegin(const uint8_t*, size_t, uint8_t*, size_t) { return -1; }
};

// Decodes zstd frames until `to` is full or `from` ends; `from` may end in a frame, and have more
// of them than are wanted. The bytes written to `to`, at most `capacity`; negative if `from` is not
// valid, or without the library or memory. For any thread.
int64_t DecodeZstdBegin(const uint8_t* from, size_t length, uint8_t* to, size_t capacity);

// Why a stream has stopped.
enum class ZstdStop { kMore, kFrameEnd, kBadData };

struct ZstdProgress {
  ZstdStop stop;
  size_t consumed;
  size_t produced;
};

// Decodes zstd frames in steps, one after another. Its memory is bounded by the windows of the
// frames: 128 MiB at most, a longer one is bad data. For one thread at a time.
class ZstdStream {
 public:
  // nullptr without the library, or without memory.
  static std::unique_ptr<ZstdStream> Make();
  virtual ~ZstdStream() = default;
  // Until `from` ends, `to` is full or the frame ends. After bad data it cannot be used again.
  virtual ZstdProgress Run(const uint8_t* from, size_t length, uint8_t* to, size_t capacity) = 0;
};

// nullptr without the library, or without memory. `Decode` never writes outside its `capacity`.
std::unique_ptr<BlockCodec> MakeBlockCodec(Codec codec);

}  // namespace overlaybd_nbd
