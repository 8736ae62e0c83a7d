// crc32c.h for JavaScript. Described in daemon/native/crc32c.ts.
#include "arguments.h"
#include "crc32c.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

Napi::Value Crc32cCall(const Napi::CallbackInfo& info) {
  const auto seed = static_cast<uint32_t>(IntegerArgument(info, 3, "seed", UINT32_MAX));
  const Bytes bytes = RangeArgument(info, 0);
  return ToNumber(info, Crc32c(bytes.data, bytes.size, seed));
}

Napi::Value VerifyBlocksCall(const Napi::CallbackInfo& info) {
  const uint64_t base = IntegerArgument(info, 1, "base", kMaxSafeInteger);
  const uint64_t count = IntegerArgument(info, 3, "count", kMaxSafeInteger);
  const auto seed = static_cast<uint32_t>(IntegerArgument(info, 4, "seed", UINT32_MAX));
  const Bounds bounds = BoundsArgument(info, 2);
  const Bytes bytes = BytesArgument(info, 0);
  if (count >= bounds.count) {
    throw Napi::RangeError::New(info.Env(), "bounds: must hold count + 1 offsets");
  }
  if (base > bytes.size) throw Napi::RangeError::New(info.Env(), "base: outside the buffer");
  const int64_t result = VerifyBlocks(bytes.data + base, bytes.size - base, bounds.data,
                                      static_cast<size_t>(count), seed);
  if (result == kBadBounds) {
    throw Napi::RangeError::New(
        info.Env(), "bounds: a block is shorter than its 4 byte CRC or outside the buffer");
  }
  return ToNumber(info, result);
}

}  // namespace

void ExportCrc32c(Napi::Object exports) {
  Export<Crc32cCall>(exports, "crc32c");
  Export<VerifyBlocksCall>(exports, "crc32cVerifyBlocks");
}

}  // namespace overlaybd_nbd
