// Socket addresses and their text. See address.h.
#include "address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace overlaybd_nbd {
namespace {

bool ParseScope(const char* scope, uint32_t* index) {
  *index = if_nametoindex(scope);
  if (*index != 0) return true;
  char* end = nullptr;
  errno = 0;
  const unsigned long number = strtoul(scope, &end, 10);
  *index = static_cast<uint32_t>(number);
  return *scope >= '0' && *scope <= '9' && *end == '\0' && errno == 0 && number == *index;
}

// "%eth0", or "%7" if the interface has gone, or nothing.
void ScopeText(uint32_t index, char (&text)[1 + IF_NAMESIZE]) {
  text[0] = '\0';
  if (index == 0) return;
  char name[IF_NAMESIZE];
  if (if_indextoname(index, name) != nullptr) {
    snprintf(text, sizeof(text), "%%%s", name);
  } else {
    snprintf(text, sizeof(text), "%%%u", index);
  }
}

}  // namespace

// inet_pton and not getaddrinfo, which accepts "1" for 0.0.0.1, and may read files.
bool FillTcp(const char* host, uint16_t port, Address* address) {
  if (inet_pton(AF_INET, host, &address->V4()->sin_addr) == 1) {
    address->V4()->sin_family = AF_INET;
    address->V4()->sin_port = htons(port);
    address->length = sizeof(sockaddr_in);
    return true;
  }
  char numeric[INET6_ADDRSTRLEN] = {};
  const char* percent = strchr(host, '%');
  const size_t length = percent == nullptr ? strlen(host) : static_cast<size_t>(percent - host);
  if (length >= sizeof(numeric)) return false;
  memcpy(numeric, host, length);
  if (inet_pton(AF_INET6, numeric, &address->V6()->sin6_addr) != 1) return false;
  if (percent != nullptr && !ParseScope(percent + 1, &address->V6()->sin6_scope_id)) return false;
  address->V6()->sin6_family = AF_INET6;
  address->V6()->sin6_port = htons(port);
  address->length = sizeof(sockaddr_in6);
  return true;
}

int FillUnix(const char* path, size_t length, Address* address) {
  sockaddr_un* name = address->Unix();
  // An empty name would bind an abstract socket.
  if (length == 0) return -EINVAL;
  if (length >= sizeof(name->sun_path)) return -ENAMETOOLONG;
  name->sun_family = AF_UNIX;
  memcpy(name->sun_path, path, length);
  address->length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length + 1);
  return 0;
}

int FillUnixPeer(const char* path, size_t length, Address* address) {
  const int result = FillUnix(path, length, address);
  if (result < 0 || *path != '@') return result;
  // A lone "@" would be the empty name.
  if (length == 1) return -EINVAL;
  // An abstract name has no NUL at its end: a NUL would be a part of the name.
  address->Unix()->sun_path[0] = '\0';
  address->length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  return 0;
}

void FillVsock(uint32_t cid, uint32_t port, Address* address) {
  sockaddr_vm* const vsock = address->Vsock();
  vsock->svm_family = AF_VSOCK;
  vsock->svm_cid = cid;
  vsock->svm_port = port == 0 ? VMADDR_PORT_ANY : port;
  address->length = sizeof(sockaddr_vm);
}

void HostText(Address* address, char (&text)[kTcpTextSize]) {
  if (address->Family() == AF_INET) {
    inet_ntop(AF_INET, &address->V4()->sin_addr, text, sizeof(text));
    return;
  }
  const sockaddr_in6& six = *address->V6();
  if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
    inet_ntop(AF_INET, &six.sin6_addr.s6_addr[12], text, sizeof(text));
    return;
  }
  char host[INET6_ADDRSTRLEN] = {};
  char scope[1 + IF_NAMESIZE];
  ScopeText(six.sin6_scope_id, scope);
  inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof(host));
  snprintf(text, sizeof(text), "[%s%s]", host, scope);
}

uint16_t TcpPort(Address* address) {
  return ntohs(address->Family() == AF_INET ? address->V4()->sin_port : address->V6()->sin6_port);
}

void TcpText(Address* address, char (&text)[kTcpTextSize]) {
  HostText(address, text);
  const size_t length = strlen(text);
  snprintf(text + length, sizeof(text) - length, ":%u", TcpPort(address));
}

}  // namespace overlaybd_nbd
