// socket.h and unix-listener.h for JavaScript. Described in daemon/native/socket.ts.
#include <net/if.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <cerrno>
#include <climits>

#include "arguments.h"
#include "descriptors.h"
#include "exports.h"
#include "socket.h"
#include "unix-listener.h"

namespace overlaybd_nbd {
namespace {

// Address, '%', interface name, NUL.
constexpr size_t kHostSize = INET6_ADDRSTRLEN + 1 + IF_NAMESIZE;
constexpr size_t kPathSize = sizeof(sockaddr_un::sun_path);
// The number after the largest user number means none.
constexpr uint64_t kMaxAccount = UINT32_MAX - 1;

int BacklogArgument(const Napi::CallbackInfo& info, size_t index) {
  return static_cast<int>(IntegerArgument(info, index, "backlog", INT_MAX));
}

Napi::Value ListenTcpCall(const Napi::CallbackInfo& info) {
  char host[kHostSize];
  const size_t length = StringArgument(info, 0, "host", host, sizeof(host));
  const auto port = static_cast<uint16_t>(IntegerArgument(info, 1, "port", UINT16_MAX));
  const int backlog = BacklogArgument(info, 2);
  return ToNumber(info, length < sizeof(host) ? ListenTcp(host, port, backlog) : -EINVAL);
}

// -1 if it is left out.
int64_t OptionalArgument(const Napi::CallbackInfo& info, size_t index, const char* name,
                         uint64_t max) {
  if (info[index].IsUndefined()) return -1;
  return static_cast<int64_t>(IntegerArgument(info, index, name, max));
}

Napi::Value ListenUnixCall(const Napi::CallbackInfo& info) {
  char path[kPathSize];
  const size_t length = StringArgument(info, 0, "path", path, sizeof(path));
  const int backlog = BacklogArgument(info, 1);
  const UnixAccess access = {OptionalArgument(info, 2, "mode", 0777),
                             OptionalArgument(info, 3, "uid", kMaxAccount),
                             OptionalArgument(info, 4, "gid", kMaxAccount)};
  // A path that was cut keeps its true length, which ListenUnix refuses.
  return ToNumber(info, ListenUnix(path, length, backlog, access));
}

Napi::Value ListenVsockCall(const Napi::CallbackInfo& info) {
  const auto cid = static_cast<uint32_t>(IntegerArgument(info, 0, "cid", UINT32_MAX));
  const auto port = static_cast<uint32_t>(IntegerArgument(info, 1, "port", UINT32_MAX - 1));
  return ToNumber(info, ListenVsock(cid, port, BacklogArgument(info, 2)));
}

Napi::Value AdoptListenerCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, AdoptListener(DescriptorArgument(info)));
}

Napi::Value ProbeUnixCall(const Napi::CallbackInfo& info) {
  char path[kPathSize];
  const size_t length = StringArgument(info, 0, "path", path, sizeof(path));
  return ToNumber(info, ProbeUnix(path, length));
}

Napi::Value ConnectUnixCall(const Napi::CallbackInfo& info) {
  char path[kPathSize];
  const size_t length = StringArgument(info, 0, "path", path, sizeof(path));
  return ToNumber(info, ConnectUnix(path, length));
}

Napi::Value PeerClosedCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, PeerClosed(DescriptorArgument(info)));
}

Napi::Value UntakenCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, Untaken(DescriptorArgument(info)));
}

Napi::Value AcceptCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, Accept(DescriptorArgument(info)));
}

Napi::Value KeepAliveCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  return ToNumber(info,
                  KeepAlive(fd, static_cast<int>(IntegerArgument(info, 1, "seconds", 86400))));
}

Napi::Value UserTimeoutCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  const auto milliseconds =
      static_cast<unsigned>(IntegerArgument(info, 1, "milliseconds", INT_MAX));
  return ToNumber(info, SetUserTimeout(fd, milliseconds));
}

Napi::Value RaiseSendBufferCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  return ToNumber(
      info, RaiseSendBuffer(fd, static_cast<int>(IntegerArgument(info, 1, "bytes", INT_MAX))));
}

Napi::Value LocalPortCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, LocalPort(DescriptorArgument(info)));
}

Napi::Value LocalNameCall(const Napi::CallbackInfo& info) {
  char name[kNameSize];
  LocalName(DescriptorArgument(info), name);
  return Napi::String::New(info.Env(), name);
}

Napi::Value PeerAddressCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Peer peer;
  if (!FindPeer(DescriptorArgument(info), &peer)) return env.Null();
  const Napi::Object address = Napi::Object::New(env);
  const auto set = [&](const char* name, Napi::Value value) { address.Set(name, value); };
  if (peer.family == AF_UNIX) {
    set("kind", Napi::String::New(env, "unix"));
    set("pid", Napi::Number::New(env, peer.user.pid));
    set("uid", Napi::Number::New(env, peer.user.uid));
    return address;
  }
  set("port", Napi::Number::New(env, peer.port));
  if (peer.family == AF_VSOCK) {
    set("kind", Napi::String::New(env, "vsock"));
    set("cid", Napi::Number::New(env, peer.cid));
  } else {
    set("kind", Napi::String::New(env, "tcp"));
    set("host", Napi::String::New(env, peer.host));
  }
  return address;
}

Napi::Value PeerUidCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, PeerUid(DescriptorArgument(info)));
}

Napi::Value PeerPidCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, PeerPid(DescriptorArgument(info)));
}

Napi::Value RecvCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  // Receiving into no space returns 0, which would be taken for the end of the stream.
  const Bytes into = RangeArgument(info, 1, 1);
  return ToNumber(info, Recv(fd, into.data, into.size));
}

Napi::Value SendCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  const Bytes from = RangeArgument(info, 1);
  return ToNumber(info, Send(fd, from.data, from.size));
}

Napi::Value ShutdownCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  const uint64_t how = info.Length() < 2 ? 1 : IntegerArgument(info, 1, "how", 2);
  return ToNumber(info, Shutdown(fd, static_cast<ShutdownHow>(how)));
}

Napi::Value SocketPairCall(const Napi::CallbackInfo& info) {
  int fds[2];
  const int result = SocketPair(fds);
  if (result < 0) throw SystemError(info.Env(), "socketpair", result);
  napi_value pair;
  napi_status status = napi_create_array_with_length(info.Env(), 2, &pair);
  for (uint32_t i = 0; i < 2 && status == napi_ok; ++i) {
    status = napi_set_element(info.Env(), pair, i, ToNumber(info, fds[i]));
  }
  if (status != napi_ok) {
    for (const int fd : fds) CloseDescriptor(fd);
    throw NodeApiError{status};
  }
  return Napi::Value(info.Env(), pair);
}

}  // namespace

void ExportSockets(Napi::Object exports) {
  Export<ListenTcpCall>(exports, "listenTcp");
  Export<ListenUnixCall>(exports, "listenUnix");
  Export<ListenVsockCall>(exports, "listenVsock");
  Export<AdoptListenerCall>(exports, "adoptListener");
  Export<ProbeUnixCall>(exports, "probeUnix");
  Export<AcceptCall>(exports, "accept");
  Export<KeepAliveCall>(exports, "keepAlive");
  Export<UserTimeoutCall>(exports, "userTimeout");
  Export<RaiseSendBufferCall>(exports, "raiseSendBuffer");
  Export<LocalPortCall>(exports, "localPort");
  Export<LocalNameCall>(exports, "localName");
  Export<PeerAddressCall>(exports, "peerAddress");
  Export<PeerUidCall>(exports, "peerUid");
  Export<PeerPidCall>(exports, "peerPid");
  Export<RecvCall>(exports, "recv");
  Export<SendCall>(exports, "send");
  Export<ShutdownCall>(exports, "shutdown");
  Export<SocketPairCall>(exports, "pair");
  Export<ConnectUnixCall>(exports, "connectUnix");
  Export<PeerClosedCall>(exports, "peerClosed");
  Export<UntakenCall>(exports, "untaken");
}

}  // namespace overlaybd_nbd
