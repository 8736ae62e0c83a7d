// decode-ahead.h for JavaScript. Described in daemon/native/decode-ahead.ts.
#include <memory>

#include "arguments.h"
#include "crc32c.h"
#include "decode-ahead.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

// Keeps products of sizes and counts far below 2^64.
constexpr uint64_t kMaxBlockSize = UINT32_MAX;

// Of one environment, and so of one thread. Null until it is opened.
using Ahead = std::unique_ptr<DecodeAhead>;

DecodeAhead& AheadOf(const Napi::CallbackInfo& info) {
  const Ahead& ahead = *static_cast<Ahead*>(info.Data());
  if (ahead == nullptr) throw Napi::Error::New(info.Env(), "ahead: not open");
  return *ahead;
}

void ReleaseMemory(napi_env, void*, void* memory) {
  delete static_cast<DecodeAhead::Memory*>(memory);
}

// The helper may use the memory for longer than JavaScript does, and the other way round.
Napi::Value ArrayOf(Napi::Env env, const DecodeAhead::Memory& memory, size_t size) {
  auto owned = std::make_unique<DecodeAhead::Memory>(memory);
  napi_value buffer;
  Check(napi_create_external_arraybuffer(env, memory.get(), size, ReleaseMemory, owned.get(),
                                         &buffer));
  owned.release();
  napi_value array;
  Check(napi_create_typedarray(env, napi_uint8_array, size, buffer, 0, &array));
  return Napi::Value(env, array);
}

Napi::Value OpenCall(const Napi::CallbackInfo& info) {
  Ahead& ahead = *static_cast<Ahead*>(info.Data());
  if (ahead != nullptr) throw Napi::Error::New(info.Env(), "ahead: open already");
  auto opened = std::make_unique<DecodeAhead>();
  Napi::Array both = Napi::Array::New(info.Env(), 2);
  both.Set(0u, ArrayOf(info.Env(), opened->stored(), DecodeAhead::kStoredSize));
  both.Set(1u, ArrayOf(info.Env(), opened->plain(), DecodeAhead::kPlainSize));
  // Last, so that a call that fails can be made again.
  ahead = std::move(opened);
  return both;
}

Napi::Value BeginCall(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), AheadOf(info).Begin());
}

Napi::Value AddCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto codec = static_cast<Codec>(IntegerArgument(info, 0, "codec", kCodecCount - 1));
  const uint64_t stored_at = IntegerArgument(info, 1, "storedAt", DecodeAhead::kStoredSize);
  const uint64_t count = IntegerArgument(info, 3, "count", DecodeAhead::kMaxBlocks, 1);
  const uint64_t plain_at = IntegerArgument(info, 4, "plainAt", DecodeAhead::kPlainSize);
  const uint64_t block_size = IntegerArgument(info, 5, "blockSize", kMaxBlockSize, 1);
  const uint64_t last_size = IntegerArgument(info, 6, "lastSize", kMaxBlockSize, 1);
  const uint64_t last_wanted = IntegerArgument(info, 7, "lastWanted", last_size, 1);
  const uint64_t crc_size = IntegerArgument(info, 8, "crcSize", kCrc32cSize);
  const auto seed = static_cast<uint32_t>(IntegerArgument(info, 9, "seed", UINT32_MAX));
  const int64_t fd = MinusOneArgument(info, 10, "fd", INT_MAX);
  const uint64_t position = PositionArgument(info, 11);
  if (last_wanted < last_size && !CanDecodeBegin(codec)) {
    throw Napi::RangeError::New(env, "lastWanted: not what the codec can give of a block");
  }
  if (crc_size != 0 && crc_size != kCrc32cSize) {
    throw Napi::RangeError::New(env, "crcSize: must be 0 or 4");
  }
  const Bounds bounds = BoundsArgument(info, 2);
  if (count >= bounds.count) throw Napi::RangeError::New(env, "bounds: less than count + 1");
  if ((count - 1) * block_size + last_wanted > DecodeAhead::kPlainSize - plain_at) {
    throw Napi::RangeError::New(env, "plainAt: no room for the blocks");
  }
  DecodeAhead& ahead = AheadOf(info);
  BlockRun run;
  run.data = ahead.stored().get() + stored_at;
  run.size = DecodeAhead::kStoredSize - stored_at;
  run.bounds = bounds.data;
  run.count = count;
  run.has_crc = crc_size != 0;
  run.crc_seed = seed;
  run.out = ahead.plain().get() + plain_at;
  run.block_size = block_size;
  run.last_size = last_size;
  run.last_wanted = last_wanted;
  return ToNumber(info, ahead.Add(codec, run, static_cast<int>(fd), position));
}

Napi::Value WakeCall(const Napi::CallbackInfo& info) {
  AheadOf(info).Wake();
  return info.Env().Undefined();
}

Napi::Value FinishCall(const Napi::CallbackInfo& info) {
  const uint64_t number = IntegerArgument(info, 0, "number", DecodeAhead::kMaxRanges);
  return Napi::Boolean::New(info.Env(), AheadOf(info).Finish(number));
}

Napi::Value HelpedCall(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(AheadOf(info).helped()));
}

}  // namespace

void ExportDecodeAhead(Napi::Object exports) {
  auto owned = std::make_unique<Ahead>();
  const auto free = [](void* ahead) { delete static_cast<Ahead*>(ahead); };
  Check(napi_add_env_cleanup_hook(exports.Env(), free, owned.get()));
  // From here on the hook owns it, even if a later call fails.
  Ahead* const ahead = owned.release();
  Export<OpenCall>(exports, "open", ahead);
  Export<BeginCall>(exports, "begin", ahead);
  Export<AddCall>(exports, "add", ahead);
  Export<WakeCall>(exports, "wake", ahead);
  Export<FinishCall>(exports, "finish", ahead);
  Export<HelpedCall>(exports, "helped", ahead);
}

}  // namespace overlaybd_nbd
