// process.h for JavaScript. Described in daemon/native/process.ts.
#include <sys/un.h>

#include <cerrno>

#include "arguments.h"
#include "exports.h"
#include "process.h"

namespace overlaybd_nbd {
namespace {

constexpr size_t kPathSize = sizeof(sockaddr_un::sun_path);
constexpr size_t kTextSize = 4096;
constexpr uint64_t kMaxCapability = 63;
constexpr uint64_t kMaxExitMs = 3'600'000;

Napi::Value NotifyCall(const Napi::CallbackInfo& info) {
  char path[kPathSize];
  char text[kTextSize];
  const size_t path_length = StringArgument(info, 0, "path", path, sizeof(path));
  const size_t text_length = StringArgument(info, 1, "text", text, sizeof(text));
  if (text_length >= sizeof(text)) return ToNumber(info, -EMSGSIZE);
  // A path that was cut still has its true length, which Notify refuses.
  return ToNumber(info, Notify(path, path_length, text, text_length));
}

Napi::Value IoFlusherCall(const Napi::CallbackInfo& info) { return ToNumber(info, SetIoFlusher()); }

Napi::Value ExitWithinCall(const Napi::CallbackInfo& info) {
  const auto milliseconds =
      static_cast<unsigned>(IntegerArgument(info, 0, "milliseconds", kMaxExitMs, 1));
  const auto code = static_cast<int>(IntegerArgument(info, 1, "code", UINT8_MAX));
  return ToNumber(info, ExitWithin(milliseconds, code));
}

Napi::Value HasCapabilityCall(const Napi::CallbackInfo& info) {
  const uint64_t capability = IntegerArgument(info, 0, "capability", kMaxCapability);
  return ToNumber(info, HasCapability(static_cast<unsigned>(capability)));
}

}  // namespace

void ExportProcess(Napi::Object exports) {
  Export<NotifyCall>(exports, "notify");
  Export<IoFlusherCall>(exports, "ioFlusher");
  Export<ExitWithinCall>(exports, "exitWithin");
  Export<HasCapabilityCall>(exports, "hasCapability");
}

}  // namespace overlaybd_nbd
