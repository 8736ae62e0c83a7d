// file.h for JavaScript. Signatures and meaning: daemon/native/binding.ts.
#include "arguments.h"
#include "exports.h"
#include "file.h"

namespace overlaybd_nbd {
namespace {

template <ssize_t (*read)(int, void*, size_t, uint64_t)>
Napi::Value ReadCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  const uint64_t position = PositionArgument(info, 4);
  const Bytes into = RangeArgument(info, 1);
  return ToNumber(info, read(fd, into.data, into.size, position));
}

template <int64_t (*seek)(int, uint64_t)>
Napi::Value SeekCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  return ToNumber(info, seek(fd, PositionArgument(info, 1)));
}

Napi::Value FileSizeCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, FileSize(DescriptorArgument(info)));
}

Napi::Value FadviseCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  const uint64_t offset = IntegerArgument(info, 1, "offset", kMaxSafeInteger);
  const uint64_t length = IntegerArgument(info, 2, "length", kMaxSafeInteger);
  const auto advice = static_cast<Advice>(IntegerArgument(info, 3, "advice", kAdviceCount - 1));
  return ToNumber(info, Advise(fd, offset, length, advice));
}

}  // namespace

void ExportFile(Napi::Object exports) {
  Export<ReadCall<PreadFull>>(exports, "pread");
  Export<ReadCall<PreadNoWait>>(exports, "preadNoWait");
  Export<SeekCall<SeekData>>(exports, "seekData");
  Export<SeekCall<SeekHole>>(exports, "seekHole");
  Export<FileSizeCall>(exports, "fileSize");
  Export<FadviseCall>(exports, "fadvise");
}

}  // namespace overlaybd_nbd
