// nbd-netlink.h for JavaScript. Described in daemon/native/nbd-netlink.ts.
#include <cerrno>
#include <climits>

#include "arguments.h"
#include "exports.h"
#include "nbd-netlink.h"

namespace overlaybd_nbd {
namespace {

constexpr size_t kBackendSize = 256;
constexpr uint64_t kMaxSeconds = INT32_MAX;

uint32_t IndexArgument(const Napi::CallbackInfo& info) {
  return static_cast<uint32_t>(IntegerArgument(info, 0, "index", INT32_MAX));
}

Napi::Value NbdFamilyCall(const Napi::CallbackInfo& info) { return ToNumber(info, NbdFamily()); }

Napi::Value NbdConnectCall(const Napi::CallbackInfo& info) {
  NbdSettings settings;
  char backend[kBackendSize];
  const int64_t index = MinusOneArgument(info, 0, "index", INT32_MAX);
  const uint64_t size = IntegerArgument(info, 1, "sizeBytes", kMaxSafeInteger);
  const uint64_t block_size = IntegerArgument(info, 2, "blockSizeBytes", UINT32_MAX);
  settings.timeout_seconds = MinusOneArgument(info, 3, "timeoutSeconds", kMaxSeconds);
  settings.dead_conn_timeout_seconds =
      MinusOneArgument(info, 4, "deadConnTimeoutSeconds", kMaxSeconds);
  const uint64_t server_flags = IntegerArgument(info, 5, "serverFlags", UINT32_MAX);
  settings.client_flags = MinusOneArgument(info, 6, "clientFlags", UINT32_MAX);
  const size_t length = StringArgument(info, 7, "backend", backend, sizeof(backend));
  const Descriptors sockets = DescriptorsArgument(info, 8, "sockets");
  if (length >= sizeof(backend)) return ToNumber(info, -ENAMETOOLONG);
  settings.backend = backend;
  settings.sockets = sockets.data;
  settings.socket_count = sockets.count;
  return ToNumber(info, NbdConnect(index, size, block_size, server_flags, settings));
}

Napi::Value NbdReconfigureCall(const Napi::CallbackInfo& info) {
  NbdSettings settings;
  char backend[kBackendSize];
  const uint32_t index = IndexArgument(info);
  settings.timeout_seconds = MinusOneArgument(info, 1, "timeoutSeconds", kMaxSeconds);
  settings.dead_conn_timeout_seconds =
      MinusOneArgument(info, 2, "deadConnTimeoutSeconds", kMaxSeconds);
  settings.client_flags = MinusOneArgument(info, 3, "clientFlags", UINT32_MAX);
  const size_t length = StringArgument(info, 4, "backend", backend, sizeof(backend));
  const Descriptors sockets = DescriptorsArgument(info, 5, "sockets");
  if (length >= sizeof(backend)) return ToNumber(info, -ENAMETOOLONG);
  settings.backend = backend;
  settings.sockets = sockets.data;
  settings.socket_count = sockets.count;
  return ToNumber(info, NbdReconfigure(index, settings));
}

Napi::Value NbdDisconnectCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, NbdDisconnect(IndexArgument(info)));
}

}  // namespace

void ExportNetlink(Napi::Object exports) {
  Export<NbdFamilyCall>(exports, "family");
  Export<NbdConnectCall>(exports, "connect");
  Export<NbdReconfigureCall>(exports, "reconfigure");
  Export<NbdDisconnectCall>(exports, "disconnect");
}

}  // namespace overlaybd_nbd
