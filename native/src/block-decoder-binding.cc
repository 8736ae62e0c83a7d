// block-decoder.h and codec-library.h for JavaScript. Described in daemon/native/block-decoder.ts.
#include <array>
#include <memory>

#include "arguments.h"
#include "block-decoder.h"
#include "crc32c.h"
#include "decode-crew.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

// Keeps products of sizes and counts far below 2^64.
constexpr uint64_t kMaxBlockSize = UINT32_MAX;

// The state of one environment, and so of one thread: decoders, made when first used, and a helper.
class Codecs {
 public:
  // Not for LZ4: it gained nothing on one connection, lost 15 % on two and cost a quarter more CPU.
  DecodeCrew zstd_crew{Codec::kZstd};

  BlockCodec* Get(Napi::Env env, Codec codec) {
    std::unique_ptr<BlockCodec>& made = made_[static_cast<size_t>(codec)];
    if (made == nullptr) made = MakeBlockCodec(codec);
    if (made == nullptr) throw Napi::Error::New(env, "codec: no library, or no memory for it");
    return made.get();
  }

 private:
  std::array<std::unique_ptr<BlockCodec>, kCodecCount> made_;
};

Codec CodecArgument(const Napi::CallbackInfo& info) {
  return static_cast<Codec>(IntegerArgument(info, 0, "codec", kCodecCount - 1));
}

Napi::Value CodecVersionCall(const Napi::CallbackInfo& info) {
  const char* const version = CodecVersion(CodecArgument(info));
  return Napi::String::New(info.Env(), version == nullptr ? "" : version);
}

Napi::Value CanDecodeBeginCall(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), CanDecodeBegin(CodecArgument(info)));
}

Napi::Value DecodeBlocksCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Codec codec = CodecArgument(info);
  const uint64_t base = IntegerArgument(info, 2, "base", kMaxSafeInteger);
  const uint64_t first = IntegerArgument(info, 4, "first", UINT32_MAX);
  const uint64_t count = IntegerArgument(info, 5, "count", UINT32_MAX, 1);
  const uint64_t out_offset = IntegerArgument(info, 7, "dstOffset", kMaxSafeInteger);
  const uint64_t block_size = IntegerArgument(info, 8, "blockSize", kMaxBlockSize, 1);
  const uint64_t last_size = IntegerArgument(info, 9, "lastSize", kMaxBlockSize, 1);
  const uint64_t last_wanted = IntegerArgument(info, 10, "lastWanted", kMaxBlockSize, 1);
  const uint64_t crc_size = IntegerArgument(info, 11, "crcSize", kCrc32cSize);
  const auto seed = static_cast<uint32_t>(IntegerArgument(info, 12, "seed", UINT32_MAX));
  if (last_wanted > last_size || (last_wanted < last_size && !CanDecodeBegin(codec))) {
    throw Napi::RangeError::New(env, "lastWanted: not what the codec can give of a block");
  }
  if (crc_size != 0 && crc_size != kCrc32cSize) {
    throw Napi::RangeError::New(env, "crcSize: must be 0 or 4");
  }
  const Bounds bounds = BoundsArgument(info, 3);
  if (first + count >= bounds.count) {
    throw Napi::RangeError::New(env, "bounds: must hold first + count + 1 offsets");
  }
  const Bytes src = BytesArgument(info, 1);
  const Bytes dst = BytesArgument(info, 6);
  if (base > src.size) throw Napi::RangeError::New(env, "base: outside the buffer");
  const uint64_t out_size = (count - 1) * block_size + last_wanted;
  if (out_offset > dst.size || out_size > dst.size - out_offset) {
    throw Napi::RangeError::New(env, "dst: no room for the blocks");
  }
  BlockRun run;
  run.data = src.data + base;
  run.size = src.size - base;
  run.bounds = bounds.data + first;
  run.count = static_cast<size_t>(count);
  run.has_crc = crc_size != 0;
  run.crc_seed = seed;
  run.out = dst.data + out_offset;
  run.block_size = static_cast<size_t>(block_size);
  run.last_size = static_cast<size_t>(last_size);
  run.last_wanted = static_cast<size_t>(last_wanted);
  auto* const codecs = static_cast<Codecs*>(info.Data());
  BlockCodec* const own = codecs->Get(env, codec);
  const int64_t result =
      codec == Codec::kZstd ? codecs->zstd_crew.Decode(own, run) : DecodeBlocks(own, run);
  if (result == kBadRun) {
    throw Napi::RangeError::New(env, "bounds: a block is outside the buffer or too short");
  }
  return ToNumber(info, result < 0 ? result : static_cast<int64_t>(first) + result);
}

Napi::Value DecodeZstdBeginCall(const Napi::CallbackInfo& info) {
  const Bytes src = BytesArgument(info, 0);
  const Bytes dst = BytesArgument(info, 1);
  return ToNumber(info, DecodeZstdBegin(src.data, src.size, dst.data, dst.size));
}

}  // namespace

void ExportCodecs(Napi::Object exports) {
  auto owned = std::make_unique<Codecs>();
  const auto free = [](void* codecs) { delete static_cast<Codecs*>(codecs); };
  Check(napi_add_env_cleanup_hook(exports.Env(), free, owned.get()));
  // From here on the hook owns it, even if a later call fails.
  Codecs* const codecs = owned.release();
  Export<CodecVersionCall>(exports, "version");
  Export<CanDecodeBeginCall>(exports, "canDecodeBegin");
  Export<DecodeBlocksCall>(exports, "decodeBlocks", codecs);
  Export<DecodeZstdBeginCall>(exports, "decodeZstdBegin");
}

}  // namespace overlaybd_nbd
