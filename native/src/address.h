// Socket addresses: from host names and paths to the structures of the kernel, and to text. It
// opens nothing, and does not depend on Node.js or NBD.
#pragma once

// linux/vm_sockets.h needs sys/socket.h, and before 6.1.176 does not include it.
// clang-format off
#include <sys/socket.h>
#include <linux/vm_sockets.h>
// clang-format on
#include <netinet/in.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

struct Address {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);

  int Family() const { return storage.ss_family; }
  sockaddr* Base() { return reinterpret_cast<sockaddr*>(&storage); }
  sockaddr_in* V4() { return reinterpret_cast<sockaddr_in*>(&storage); }
  sockaddr_in6* V6() { return reinterpret_cast<sockaddr_in6*>(&storage); }
  sockaddr_un* Unix() { return reinterpret_cast<sockaddr_un*>(&storage); }
  sockaddr_vm* Vsock() { return reinterpret_cast<sockaddr_vm*>(&storage); }
};

// `host` is a numeric IPv4 or IPv6 address (with %scope if link-local); false if it is neither.
bool FillTcp(const char* host, uint16_t port, Address* address);

// 0, -EINVAL for an empty path, or -ENAMETOOLONG if it does not fit in sun_path.
int FillUnix(const char* path, size_t length, Address* address);

// The same for an address to connect or send to, where "@name" is an abstract name.
int FillUnixPeer(const char* path, size_t length, Address* address);

// With `port` 0 the kernel chooses one, as for TCP.
void FillVsock(uint32_t cid, uint32_t port, Address* address);

// "127.0.0.1:80" or "[fe80::1%eth0]:80", NUL-terminated; an IPv4 address that is mapped into IPv6
// is shown as IPv4. The address must be of one of these two families.
constexpr size_t kTcpTextSize = 80;
void TcpText(Address* address, char (&text)[kTcpTextSize]);

// The same without the port: "127.0.0.1" or "[fe80::1%eth0]".
void HostText(Address* address, char (&text)[kTcpTextSize]);

// The port of an address of one of these two families.
uint16_t TcpPort(Address* address);

}  // namespace overlaybd_nbd
