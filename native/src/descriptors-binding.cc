// descriptors.h for JavaScript. Signatures and meaning: daemon/native/binding.ts.
#include "arguments.h"
#include "descriptors.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

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
  Export<SendDescriptorsCall>(exports, "sendDescriptors");
  Export<RecvDescriptorsCall>(exports, "recvDescriptors");
}

}  // namespace overlaybd_nbd
