// file-table.h for JavaScript. Described in daemon/native/file.ts.
#include "arguments.h"
#include "exports.h"
#include "file-table.h"

namespace overlaybd_nbd {
namespace {

Napi::Value ReadAtHandCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  const uint64_t position = PositionArgument(info, 4);
  const Bytes into = RangeArgument(info, 1);
  return ToNumber(info, ReadAtHand(fd, into.data, into.size, position));
}

}  // namespace

void ExportFiles(Napi::Object exports) { Export<ReadAtHandCall>(exports, "readAtHand"); }

}  // namespace overlaybd_nbd
