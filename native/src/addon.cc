// The addon's entry: makes the exports of one environment (main thread or worker), one object for
// each file of daemon/native.
#include <napi.h>

#include "exports.h"
#include "guard.h"
#include "memory.h"

namespace overlaybd_nbd {
namespace {

Napi::Object AddPart(napi_env env, napi_value exports, const char* name) {
  napi_value part;
  Check(napi_create_object(env, &part));
  Check(napi_set_named_property(env, exports, name, part));
  return Napi::Object(env, part);
}

// See daemon/native/addon.ts.
constexpr uint32_t kInterface = 1;

void ExportInterface(napi_env env, napi_value exports) {
  napi_value number;
  Check(napi_create_uint32(env, kInterface, &number));
  Check(napi_set_named_property(env, exports, "interface", number));
}

}  // namespace
}  // namespace overlaybd_nbd

// A worker may be ended while it loads the addon. Then any of these calls may fail, and everything
// made before must be ready to be torn down.
NAPI_MODULE_INIT() {
  using namespace overlaybd_nbd;
  static const bool limited = (LimitFreeMemory(), true);
  static_cast<void>(limited);
  return Guarded(env, [env, exports] {
    ExportInterface(env, exports);
    ExportAttributes(AddPart(env, exports, "attributes"));
    ExportBlockOffsets(AddPart(env, exports, "blockOffsets"));
    ExportSockets(AddPart(env, exports, "sockets"));
    ExportDescriptors(AddPart(env, exports, "descriptors"));
    const Napi::Object files = AddPart(env, exports, "files");
    ExportFiles(files);
    void* const port = ExportFileJobs(files);
    ExportCacheFiles(AddPart(env, exports, "cacheFiles"), port);
    ExportFilePipes(AddPart(env, exports, "filePipes"));
    ExportCrc32c(AddPart(env, exports, "crc32c"));
    const Napi::Object codecs = AddPart(env, exports, "codecs");
    ExportCodecs(codecs);
    ExportDecodeJobs(codecs);
    ExportDecodeAhead(AddPart(env, exports, "ahead"));
    ExportPoll(AddPart(env, exports, "poll"));
    ExportNetlink(AddPart(env, exports, "netlink"));
    ExportIoctl(AddPart(env, exports, "ioctl"));
    ExportInflaters(AddPart(env, exports, "inflaters"));
    ExportMemory(AddPart(env, exports, "memory"));
    ExportProcess(AddPart(env, exports, "process"));
    ExportZstdStreams(AddPart(env, exports, "zstdStreams"));
    return exports;
  });
}
