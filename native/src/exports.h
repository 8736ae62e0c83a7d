// What each binding adds to the addon's exports. No state is kept outside the environment.
#pragma once

#include <napi.h>

namespace overlaybd_nbd {

void ExportAccounts(Napi::Object exports);
void ExportSocket(Napi::Object exports);
void ExportFile(Napi::Object exports);
void ExportFilePool(Napi::Object exports);
void ExportFilePipe(Napi::Object exports);
void ExportCrc32c(Napi::Object exports);
void ExportBlockDecoder(Napi::Object exports);
void ExportPoll(Napi::Object exports);
void ExportDescriptors(Napi::Object exports);
void ExportNbd(Napi::Object exports);
void ExportProcess(Napi::Object exports);

}  // namespace overlaybd_nbd
