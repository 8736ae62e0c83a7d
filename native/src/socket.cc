// Stream sockets as plain descriptors, over the system calls. See socket.h.
#include "socket.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace overlaybd_nbd {
namespace {

constexpr int kStreamType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

struct Address {
  sockaddr_storage storage = {};
  socklen_t length = sizeof(storage);

  int Family() const { return storage.ss_family; }
  sockaddr* Base() { return reinterpret_cast<sockaddr*>(&storage); }
  sockaddr_in* V4() { return reinterpret_cast<sockaddr_in*>(&storage); }
  sockaddr_in6* V6() { return reinterpret_cast<sockaddr_in6*>(&storage); }
  sockaddr_un* Unix() { return reinterpret_cast<sockaddr_un*>(&storage); }
};

// Keeps errno: the caller wants to report why it gives the descriptor up.
int FailAndClose(int fd) {
  const int error = errno;
  ::close(fd);
  return -error;
}

bool ParseScope(const char* scope, uint32_t* index) {
  *index = if_nametoindex(scope);
  if (*index != 0) return true;
  char* end = nullptr;
  errno = 0;
  const unsigned long number = strtoul(scope, &end, 10);
  *index = static_cast<uint32_t>(number);
  return *scope >= '0' && *scope <= '9' && *end == '\0' && errno == 0 && number == *index;
}

// inet_pton and not getaddrinfo: that one takes "1" for 0.0.0.1, and may read files.
bool ParseHost(const char* host, uint16_t port, Address* address) {
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
  // An empty name would bind an abstract socket that nobody asked for.
  if (length == 0) return -EINVAL;
  if (length >= sizeof(name->sun_path)) return -ENAMETOOLONG;
  name->sun_family = AF_UNIX;
  memcpy(name->sun_path, path, length);
  address->length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length + 1);
  return 0;
}

int SetOption(int fd, int level, int option) {
  const int on = 1;
  return setsockopt(fd, level, option, &on, sizeof(on));
}

int BindAndListen(int fd, Address* address, int backlog) {
  if (::bind(fd, address->Base(), address->length) != 0) return FailAndClose(fd);
  if (::listen(fd, backlog) != 0) return FailAndClose(fd);
  return fd;
}

}  // namespace

int ListenTcp(const char* host, uint16_t port, int backlog) {
  Address address;
  if (!ParseHost(host, port, &address)) return -EINVAL;
  const int fd = ::socket(address.Family(), kStreamType, 0);
  if (fd < 0) return -errno;
  if (SetOption(fd, SOL_SOCKET, SO_REUSEADDR) != 0) return FailAndClose(fd);
  if (address.Family() == AF_INET6 && SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0) {
    return FailAndClose(fd);
  }
  return BindAndListen(fd, &address, backlog);
}

int ListenUnix(const char* path, size_t length, int backlog) {
  Address address;
  const int filled = FillUnix(path, length, &address);
  if (filled < 0) return filled;
  const int fd = ::socket(AF_UNIX, kStreamType, 0);
  if (fd < 0) return -errno;
  return BindAndListen(fd, &address, backlog);
}

int ProbeUnix(const char* path, size_t length) {
  Address address;
  const int filled = FillUnix(path, length, &address);
  if (filled < 0) return filled;
  const int fd = ::socket(AF_UNIX, kStreamType, 0);
  if (fd < 0) return -errno;
  int result = ::connect(fd, address.Base(), address.length) == 0 ? 0 : -errno;
  ::close(fd);
  // A nonblocking connect says EAGAIN when the backlog is full: somebody is listening.
  return result == -EAGAIN ? 0 : result;
}

int Accept(int listen_fd) {
  Address peer;
  int fd;
  do {
    fd = ::accept4(listen_fd, peer.Base(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return -errno;
  if (peer.Family() == AF_INET || peer.Family() == AF_INET6) {
    // A peer that has reset the connection already makes these fail; recv will tell.
    SetOption(fd, IPPROTO_TCP, TCP_NODELAY);
    SetOption(fd, SOL_SOCKET, SO_KEEPALIVE);
  }
  return fd;
}

int LocalPort(int fd) {
  Address local;
  if (::getsockname(fd, local.Base(), &local.length) != 0) return -errno;
  if (local.Family() == AF_INET) return ntohs(local.V4()->sin_port);
  if (local.Family() == AF_INET6) return ntohs(local.V6()->sin6_port);
  return -EAFNOSUPPORT;
}

void PeerName(int fd, char (&name)[kPeerNameSize]) {
  Address peer;
  char host[INET6_ADDRSTRLEN] = {};
  snprintf(name, sizeof(name), "unknown");
  if (::getpeername(fd, peer.Base(), &peer.length) != 0) return;
  if (peer.Family() == AF_INET) {
    inet_ntop(AF_INET, &peer.V4()->sin_addr, host, sizeof(host));
    snprintf(name, sizeof(name), "%s:%u", host, ntohs(peer.V4()->sin_port));
  } else if (peer.Family() == AF_INET6) {
    inet_ntop(AF_INET6, &peer.V6()->sin6_addr, host, sizeof(host));
    snprintf(name, sizeof(name), "[%s]:%u", host, ntohs(peer.V6()->sin6_port));
  } else if (peer.Family() == AF_UNIX) {
    ucred who = {};
    socklen_t size = sizeof(who);
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return;
    snprintf(name, sizeof(name), "pid %d uid %u", who.pid, who.uid);
  }
}

ssize_t Recv(int fd, void* data, size_t length) {
  ssize_t n;
  do {
    n = ::recv(fd, data, length, MSG_DONTWAIT);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

ssize_t Send(int fd, const void* data, size_t length) {
  ssize_t n;
  do {
    n = ::send(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

int Shutdown(int fd, ShutdownHow how) {
  static_assert(SHUT_RD == 0 && SHUT_WR == 1 && SHUT_RDWR == 2, "ShutdownHow follows the system");
  return ::shutdown(fd, static_cast<int>(how)) == 0 ? 0 : -errno;
}

int CloseDescriptor(int fd) {
  if (::close(fd) == 0) return 0;
  // Linux has let go of the descriptor when close is interrupted; another try could hit
  // a descriptor that a different thread has just opened.
  return errno == EINTR ? 0 : -errno;
}

int SocketPair(int (&fds)[2]) {
  return ::socketpair(AF_UNIX, kStreamType, 0, fds) == 0 ? 0 : -errno;
}

}  // namespace overlaybd_nbd
