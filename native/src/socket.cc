// Stream sockets as plain descriptors, over the system calls. See socket.h.
#include "socket.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "address.h"

namespace overlaybd_nbd {
namespace {

constexpr int kStreamType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

// Keeps errno, so that the caller can report why it closes the descriptor.
int FailAndClose(int fd) {
  const int error = errno;
  ::close(fd);
  return -error;
}

int SetOption(int fd, int level, int option, int value = 1) {
  return setsockopt(fd, level, option, &value, sizeof(value));
}

// Unanswered probes until a peer counts as gone.
constexpr int kProbes = 3;

int BindAndListen(int fd, Address* address, int backlog) {
  if (::bind(fd, address->Base(), address->length) != 0) return FailAndClose(fd);
  if (::listen(fd, backlog) != 0) return FailAndClose(fd);
  return fd;
}

int IntegerOption(int fd, int option, int* value) {
  socklen_t size = sizeof(*value);
  return ::getsockopt(fd, SOL_SOCKET, option, value, &size) == 0 ? 0 : -errno;
}

// SO_SNDBUF of a socket that has been asked for so much. The limit cannot be read in every network
// namespace, so another socket tries it. 0 if there is none.
int TriedSendBuffer(int bytes) {
  const int fd = ::socket(AF_UNIX, kStreamType, 0);
  if (fd < 0) return 0;
  int tried = 0;
  if (SetOption(fd, SOL_SOCKET, SO_SNDBUF, bytes) == 0) IntegerOption(fd, SO_SNDBUF, &tried);
  ::close(fd);
  return tried;
}

int PeerCredentials(int fd, ucred* who) {
  int family;
  const int result = IntegerOption(fd, SO_DOMAIN, &family);
  if (result < 0) return result;
  // Other sockets return meaningless numbers.
  if (family != AF_UNIX) return -EAFNOSUPPORT;
  *who = {};
  socklen_t size = sizeof(*who);
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, who, &size) == 0 ? 0 : -errno;
}

}  // namespace

int ListenTcp(const char* host, uint16_t port, int backlog) {
  Address address;
  if (!FillTcp(host, port, &address)) return -EINVAL;
  const int fd = ::socket(address.Family(), kStreamType, 0);
  if (fd < 0) return -errno;
  if (SetOption(fd, SOL_SOCKET, SO_REUSEADDR) != 0) return FailAndClose(fd);
  if (address.Family() == AF_INET6 && SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 0) {
    return FailAndClose(fd);
  }
  return BindAndListen(fd, &address, backlog);
}

int ListenVsock(uint32_t cid, uint32_t port, int backlog) {
  Address address;
  FillVsock(cid, port, &address);
  const int fd = ::socket(AF_VSOCK, kStreamType, 0);
  if (fd < 0) return -errno;
  return BindAndListen(fd, &address, backlog);
}

int AdoptListener(int fd) {
  int type;
  int listens;
  int family;
  int result = IntegerOption(fd, SO_TYPE, &type);
  if (result == 0 && type != SOCK_STREAM) result = -EPROTOTYPE;
  if (result == 0) result = IntegerOption(fd, SO_DOMAIN, &family);
  if (result < 0) return result;
  if (family != AF_INET && family != AF_INET6 && family != AF_UNIX && family != AF_VSOCK) {
    return -EAFNOSUPPORT;
  }
  result = IntegerOption(fd, SO_ACCEPTCONN, &listens);
  if (result < 0) return result;
  if (listens == 0) return -EINVAL;
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return -errno;
  return ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? 0 : -errno;
}

int ConnectUnix(const char* path, size_t length) {
  Address address;
  const int filled = FillUnixPeer(path, length, &address);
  if (filled < 0) return filled;
  const int fd = ::socket(AF_UNIX, kStreamType, 0);
  if (fd < 0) return -errno;
  return ::connect(fd, address.Base(), address.length) == 0 ? fd : FailAndClose(fd);
}

int Accept(int listen_fd) {
  Address peer;
  int fd;
  do {
    fd = ::accept4(listen_fd, peer.Base(), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return -errno;
  if (peer.Family() == AF_INET || peer.Family() == AF_INET6) {
    // If the peer has already reset the connection, these fail; recv will report it.
    SetOption(fd, IPPROTO_TCP, TCP_NODELAY);
    SetOption(fd, SOL_SOCKET, SO_KEEPALIVE);
  }
  return fd;
}

int KeepAlive(int fd, int seconds) {
  // The first option exists for TCP only.
  const bool done =
      SetOption(fd, IPPROTO_TCP, TCP_NODELAY) == 0 &&
      SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, std::max(1, seconds / 2)) == 0 &&
      SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(1, seconds / 2 / kProbes)) == 0 &&
      SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, kProbes) == 0 &&
      SetOption(fd, SOL_SOCKET, SO_KEEPALIVE) == 0;
  return done ? SetUserTimeout(fd, static_cast<unsigned>(seconds) * 1000) : -errno;
}

int SetUserTimeout(int fd, unsigned milliseconds) {
  return SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(milliseconds)) == 0 ? 0
                                                                                           : -errno;
}

int RaiseSendBuffer(int fd, int bytes) {
  int now = 0;
  const int result = IntegerOption(fd, SO_SNDBUF, &now);
  if (result < 0 || now / 2 >= bytes) return result;
  if (TriedSendBuffer(bytes) <= now) return 0;
  return SetOption(fd, SOL_SOCKET, SO_SNDBUF, bytes) == 0 ? 0 : -errno;
}

int64_t LocalPort(int fd) {
  Address local;
  if (::getsockname(fd, local.Base(), &local.length) != 0) return -errno;
  if (local.Family() == AF_INET) return ntohs(local.V4()->sin_port);
  if (local.Family() == AF_INET6) return ntohs(local.V6()->sin6_port);
  if (local.Family() == AF_VSOCK) return local.Vsock()->svm_port;
  return -EAFNOSUPPORT;
}

void LocalName(int fd, char (&name)[kNameSize]) {
  Address local;
  snprintf(name, sizeof(name), "unknown");
  if (::getsockname(fd, local.Base(), &local.length) != 0) return;
  if (local.Family() == AF_INET || local.Family() == AF_INET6) {
    char text[kTcpTextSize];
    TcpText(&local, text);
    snprintf(name, sizeof(name), "tcp://%s", text);
  } else if (local.Family() == AF_VSOCK) {
    const sockaddr_vm& vsock = *local.Vsock();
    if (vsock.svm_cid == VMADDR_CID_ANY) {
      snprintf(name, sizeof(name), "vsock://:%u", vsock.svm_port);
    } else {
      snprintf(name, sizeof(name), "vsock://%u:%u", vsock.svm_cid, vsock.svm_port);
    }
  } else if (local.Family() == AF_UNIX) {
    const char* const path = local.Unix()->sun_path;
    const int room = static_cast<int>(local.length - offsetof(sockaddr_un, sun_path));
    if (room > 0 && *path == '\0') {
      snprintf(name, sizeof(name), "unix://@%.*s", room - 1, path + 1);
    } else {
      snprintf(name, sizeof(name), "unix://%.*s", room, path);
    }
  }
}

bool FindPeer(int fd, Peer* peer) {
  Address address;
  *peer = {};
  if (::getpeername(fd, address.Base(), &address.length) != 0) return false;
  peer->family = address.Family();
  if (peer->family == AF_INET || peer->family == AF_INET6) {
    peer->family = AF_INET;
    HostText(&address, peer->host);
    peer->port = TcpPort(&address);
    return true;
  }
  if (peer->family == AF_VSOCK) {
    peer->cid = address.Vsock()->svm_cid;
    peer->port = address.Vsock()->svm_port;
    return true;
  }
  return peer->family == AF_UNIX && PeerCredentials(fd, &peer->user) == 0;
}

int64_t PeerUid(int fd) {
  ucred who;
  const int64_t result = PeerCredentials(fd, &who);
  return result < 0 ? result : who.uid;
}

int64_t PeerPid(int fd) {
  ucred who;
  const int64_t result = PeerCredentials(fd, &who);
  return result < 0 ? result : who.pid;
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

int64_t Untaken(int fd) {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) == 0 ? bytes : -errno;
}

int Shutdown(int fd, ShutdownHow how) {
  static_assert(SHUT_RD == 0 && SHUT_WR == 1 && SHUT_RDWR == 2, "ShutdownHow follows the system");
  return ::shutdown(fd, static_cast<int>(how)) == 0 ? 0 : -errno;
}

int SocketPair(int (&fds)[2]) {
  return ::socketpair(AF_UNIX, kStreamType, 0, fds) == 0 ? 0 : -errno;
}

int PeerClosed(int fd) {
  pollfd watched = {fd, POLLRDHUP, 0};
  if (::poll(&watched, 1, 0) < 0) return -errno;
  if ((watched.revents & POLLNVAL) != 0) return -EBADF;
  return (watched.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0 ? 1 : 0;
}

}  // namespace overlaybd_nbd
