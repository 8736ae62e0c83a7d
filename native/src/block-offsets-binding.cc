// block-offsets.h for JavaScript. Described in daemon/native/block-offsets.ts.
#include "arguments.h"
#include "block-offsets.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

constexpr uint64_t kMaxGroupShift = 31;

Napi::Value AddLengthsCall(const Napi::CallbackInfo& info) {
  const uint64_t count = IntegerArgument(info, 1, "count", kMaxSafeInteger / 4);
  const bool is_wide = IntegerArgument(info, 4, "isWide", 1) != 0;
  const auto shift = static_cast<unsigned>(IntegerArgument(info, 5, "groupShift", kMaxGroupShift));
  const uint64_t next = IntegerArgument(info, 6, "next", kMaxSafeInteger);
  const uint64_t offset = IntegerArgument(info, 7, "offset", kMaxSafeInteger);
  const LengthLimits limits = {
      static_cast<uint32_t>(IntegerArgument(info, 8, "minLength", UINT32_MAX)),
      static_cast<uint32_t>(IntegerArgument(info, 9, "maxLength", UINT32_MAX)),
      IntegerArgument(info, 10, "end", kMaxSafeInteger),
  };
  const Bytes lengths = BytesArgument(info, 0);
  const Bytes groups = BytesArgument(info, 2);
  const Bytes deltas = BytesArgument(info, 3);
  if (count > lengths.size / 4) {
    throw Napi::RangeError::New(info.Env(), "lengths: must hold count lengths");
  }
  if (reinterpret_cast<uintptr_t>(groups.data) % alignof(double) != 0) {
    throw Napi::RangeError::New(info.Env(), "groups: not aligned");
  }
  const BlockOffsets table = {
      reinterpret_cast<double*>(groups.data),
      groups.size / sizeof(double),
      shift,
      deltas.data,
      deltas.size / (is_wide ? 4 : 2),
      is_wide,
  };
  const size_t taken = AddLengths(table, static_cast<size_t>(next), offset, lengths.data,
                                  static_cast<size_t>(count), limits);
  if (taken == kNoRoom) throw Napi::RangeError::New(info.Env(), "table: no room for count blocks");
  return ToNumber(info, static_cast<int64_t>(taken));
}

}  // namespace

void ExportBlockOffsets(Napi::Object exports) { Export<AddLengthsCall>(exports, "addLengths"); }

}  // namespace overlaybd_nbd
