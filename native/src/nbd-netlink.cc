// The kernel's netlink family "nbd". See nbd-netlink.h.
#include "nbd-netlink.h"

#include <linux/nbd-netlink.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "genl.h"

namespace overlaybd_nbd {
namespace {

// Linux 5.14; the headers of the building machine may be older.
constexpr uint16_t kBackendIdentifier = 10;

void PutSettings(GenlRequest* request, const NbdSettings& settings) {
  if (settings.timeout_seconds >= 0) {
    request->PutU64(NBD_ATTR_TIMEOUT, static_cast<uint64_t>(settings.timeout_seconds));
  }
  if (settings.dead_conn_timeout_seconds >= 0) {
    request->PutU64(NBD_ATTR_DEAD_CONN_TIMEOUT,
                    static_cast<uint64_t>(settings.dead_conn_timeout_seconds));
  }
  if (settings.client_flags >= 0) {
    request->PutU64(NBD_ATTR_CLIENT_FLAGS, static_cast<uint64_t>(settings.client_flags));
  }
  const size_t length = strlen(settings.backend);
  if (length > 0) request->Put(kBackendIdentifier, settings.backend, length + 1);
  if (settings.socket_count == 0) return;
  const size_t list = request->BeginNest(NBD_ATTR_SOCKETS);
  for (size_t i = 0; i < settings.socket_count; ++i) {
    const size_t item = request->BeginNest(NBD_SOCK_ITEM);
    request->PutU32(NBD_SOCK_FD, static_cast<uint32_t>(settings.sockets[i]));
    request->EndNest(item);
  }
  request->EndNest(list);
}

// A socket for one call, and the family that it is for.
class NbdSocket {
 public:
  int Open() {
    const int result = socket_.Open();
    if (result < 0) return result;
    family_ = socket_.Resolve(NBD_GENL_FAMILY_NAME);
    return family_;
  }

  GenlRequest Request(uint8_t command) const {
    return GenlRequest(static_cast<uint16_t>(family_), command, NBD_GENL_VERSION);
  }

  int Exchange(GenlRequest* request) { return socket_.Exchange(request, &answer_); }

  Attribute Answer(uint16_t type) const {
    return FindAttribute(answer_.data(), answer_.size(), type);
  }

 private:
  GenlSocket socket_;
  int family_ = -1;
  std::vector<uint8_t> answer_;
};

}  // namespace

int NbdFamily() { return NbdSocket().Open(); }

int64_t NbdConnect(int64_t index, uint64_t size, uint64_t block_size, uint64_t server_flags,
                   const NbdSettings& settings) {
  NbdSocket socket;
  int result = socket.Open();
  if (result < 0) return result;
  GenlRequest request = socket.Request(NBD_CMD_CONNECT);
  if (index >= 0) request.PutU32(NBD_ATTR_INDEX, static_cast<uint32_t>(index));
  request.PutU64(NBD_ATTR_SIZE_BYTES, size);
  request.PutU64(NBD_ATTR_BLOCK_SIZE_BYTES, block_size);
  request.PutU64(NBD_ATTR_SERVER_FLAGS, server_flags);
  PutSettings(&request, settings);
  result = socket.Exchange(&request);
  if (result < 0) return result;
  uint32_t connected;
  if (socket.Answer(NBD_ATTR_INDEX).Get(&connected)) return connected;
  // If it is short of memory, the kernel connects the device but sends no answer.
  return index >= 0 ? index : -EBADMSG;
}

int NbdReconfigure(uint32_t index, const NbdSettings& settings) {
  NbdSocket socket;
  const int result = socket.Open();
  if (result < 0) return result;
  GenlRequest request = socket.Request(NBD_CMD_RECONFIGURE);
  request.PutU32(NBD_ATTR_INDEX, index);
  PutSettings(&request, settings);
  return socket.Exchange(&request);
}

int NbdDisconnect(uint32_t index) {
  NbdSocket socket;
  const int result = socket.Open();
  if (result < 0) return result;
  GenlRequest request = socket.Request(NBD_CMD_DISCONNECT);
  request.PutU32(NBD_ATTR_INDEX, index);
  return socket.Exchange(&request);
}

}  // namespace overlaybd_nbd
