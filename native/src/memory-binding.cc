// memory.h for JavaScript. Described in daemon/native/memory.ts.
#include "arguments.h"
#include "exports.h"
#include "memory.h"

namespace overlaybd_nbd {
namespace {

Napi::Value LockCall(const Napi::CallbackInfo& info) { return ToNumber(info, LockFiles()); }

Napi::Value ReleasePagesCall(const Napi::CallbackInfo& info) {
  const Bytes bytes = BytesArgument(info, 0);
  return ToNumber(info, ReleasePages(bytes.data, bytes.size));
}

Napi::Value ReturnFreeMemoryCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, ReturnFreeMemory());
}

}  // namespace

void ExportMemory(Napi::Object exports) {
  Export<LockCall>(exports, "lock");
  Export<ReleasePagesCall>(exports, "releasePages");
  Export<ReturnFreeMemoryCall>(exports, "returnFreeMemory");
}

}  // namespace overlaybd_nbd
