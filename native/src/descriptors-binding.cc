// descriptors.h for JavaScript. Described in daemon/native/descriptors.ts.
#include "arguments.h"
#include "descriptors.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

Napi::Value CloseCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, CloseDescriptor(DescriptorArgument(info)));
}

Napi::Value TakeStandardCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, TakeStandard(DescriptorArgument(info)));
}

Napi::Value LockFileCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, LockFile(DescriptorArgument(info)));
}

Napi::Value CloexecCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  return ToNumber(info, SetCloexec(fd, IntegerArgument(info, 1, "on", 1) == 1));
}

Napi::Value SendDescriptorsCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  const Bytes from = RangeArgument(info, 1, 1);
  const Descriptors sent = DescriptorsArgument(info, 4, "descriptors");
  return ToNumber(info, SendDescriptors(fd, from.data, from.size, sent.data, sent.count));
}

Napi::Value RecvDescriptorsCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  const Bytes into = RangeArgument(info, 1, 1);
  const Descriptors received = DescriptorRoomArgument(info, 4, "descriptors");
  return ToNumber(info, RecvDescriptors(fd, into.data, into.size, received.data, received.count));
}

}  // namespace

void ExportDescriptors(Napi::Object exports) {
  Export<CloseCall>(exports, "close");
  Export<CloexecCall>(exports, "cloexec");
  Export<LockFileCall>(exports, "lockFile");
  Export<TakeStandardCall>(exports, "takeStandard");
  Export<SendDescriptorsCall>(exports, "send");
  Export<RecvDescriptorsCall>(exports, "recv");
}

}  // namespace overlaybd_nbd
