// The addon's entry: one exports object for each environment (main thread or worker).
#include <napi.h>

#include "exports.h"
#include "guard.h"

// A worker may be ended while it loads this: then any of these may fail, and what they have made so
// far must be fit to be torn down.
NAPI_MODULE_INIT() {
  return overlaybd_nbd::Guarded(env, [env, exports] {
    const Napi::Object object(env, exports);
    overlaybd_nbd::ExportAccounts(object);
    overlaybd_nbd::ExportSocket(object);
    overlaybd_nbd::ExportFile(object);
    overlaybd_nbd::ExportFilePool(object);
    overlaybd_nbd::ExportFilePipe(object);
    overlaybd_nbd::ExportCrc32c(object);
    overlaybd_nbd::ExportBlockDecoder(object);
    overlaybd_nbd::ExportPoll(object);
    overlaybd_nbd::ExportDescriptors(object);
    overlaybd_nbd::ExportNbd(object);
    overlaybd_nbd::ExportProcess(object);
    return exports;
  });
}
