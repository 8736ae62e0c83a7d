// The addon's entry: one exports object for each environment (main thread or worker).
#include <napi.h>

#include "exports.h"

namespace {

Napi::Object Initialize(Napi::Env, Napi::Object exports) {
  overlaybd_nbd::ExportAccounts(exports);
  overlaybd_nbd::ExportSocket(exports);
  overlaybd_nbd::ExportFile(exports);
  overlaybd_nbd::ExportFilePipe(exports);
  overlaybd_nbd::ExportCrc32c(exports);
  overlaybd_nbd::ExportBlockDecoder(exports);
  overlaybd_nbd::ExportPoll(exports);
  overlaybd_nbd::ExportDescriptors(exports);
  overlaybd_nbd::ExportNbd(exports);
  overlaybd_nbd::ExportProcess(exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(overlaybd_nbd, Initialize)
