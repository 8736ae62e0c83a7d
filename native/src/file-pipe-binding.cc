// file-pipe.h for JavaScript. Described in daemon/native/file-pipe.ts.
#include "arguments.h"
#include "exports.h"
#include "file-pipe.h"

namespace overlaybd_nbd {
namespace {

constexpr uint64_t kMaxPipe = uint64_t{1} << 30;

Napi::Value MakePipeCall(const Napi::CallbackInfo& info) {
  const Descriptors ends = DescriptorRoomArgument(info, 0, "ends");
  const uint64_t size = IntegerArgument(info, 1, "size", kMaxPipe);
  if (ends.count != 2) throw Napi::RangeError::New(info.Env(), "ends: not room for 2 descriptors");
  return ToNumber(info, MakePipe(ends.data, size));
}

Napi::Value FillPipeCall(const Napi::CallbackInfo& info) {
  const int file = DescriptorArgument(info);
  const uint64_t position = PositionArgument(info, 1);
  const int pipe = DescriptorArgument(info, 2);
  return ToNumber(info,
                  FillPipe(file, position, pipe, IntegerArgument(info, 3, "length", kMaxPipe)));
}

Napi::Value DrainPipeCall(const Napi::CallbackInfo& info) {
  const int pipe = DescriptorArgument(info);
  const int socket = DescriptorArgument(info, 1);
  return ToNumber(info, DrainPipe(pipe, socket, IntegerArgument(info, 2, "length", kMaxPipe, 1)));
}

}  // namespace

void ExportFilePipes(Napi::Object exports) {
  Export<MakePipeCall>(exports, "make");
  Export<FillPipeCall>(exports, "fill");
  Export<DrainPipeCall>(exports, "drain");
}

}  // namespace overlaybd_nbd
