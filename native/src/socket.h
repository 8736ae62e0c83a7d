// Stream sockets as plain descriptors: listen, accept, recv, send. Knows neither Node nor NBD.
// Every function that returns a number returns one >= 0, or -errno. Nothing here blocks.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "address.h"

namespace overlaybd_nbd {

// `host` is a numeric IPv4 or IPv6 address (with %scope if link-local); -EINVAL if it is neither.
int ListenTcp(const char* host, uint16_t port, int backlog);

// `cid` may be VMADDR_CID_ANY; `port` 0 lets the system choose.
int ListenVsock(uint32_t cid, uint32_t port, int backlog);

// Makes an inherited listening socket nonblocking and close-on-exec. 0, or -ENOTSOCK, -EPROTOTYPE
// (not a stream socket), -EINVAL (does not listen), -EAFNOSUPPORT (an unknown family).
int AdoptListener(int fd);

// A connection to a Unix socket; "@name" is an abstract one. -ECONNREFUSED if no process listens,
// -EAGAIN if the backlog is full at the moment.
int ConnectUnix(const char* path, size_t length);

int Accept(int listen_fd);

// Ends a TCP connection whose peer is gone: after about `seconds`, half of them without any segment
// from the peer, or all of them without an acknowledgement of sent data. Sets TCP_NODELAY, too.
// Fails, with no effect, for other sockets.
int KeepAlive(int fd, int seconds);

// TCP_USER_TIMEOUT alone. It also ends connections whose peer is there and takes nothing.
int SetUserTimeout(int fd, unsigned milliseconds);

// -EAFNOSUPPORT if the socket is neither TCP nor vsock.
int64_t LocalPort(int fd);

// "tcp://127.0.0.1:80", "unix:///path", "unix://@abstract", "vsock://2:80", "vsock://:80" (any CID)
// or "unknown", NUL-terminated.
constexpr size_t kNameSize = 128;
void LocalName(int fd, char (&name)[kNameSize]);

// The other end of a connected socket. Which members mean something depends on the family.
struct Peer {
  int family = AF_UNSPEC;        // AF_INET for TCP, also over IPv6; AF_VSOCK or AF_UNIX
  char host[kTcpTextSize] = {};  // AF_INET: "127.0.0.1", "[fe80::1%eth0]"
  uint32_t port = 0;             // AF_INET, AF_VSOCK
  uint32_t cid = 0;              // AF_VSOCK
  ucred user = {};               // AF_UNIX
};

// false if it is not known: a TCP connection that its peer has reset, or another kind of socket.
bool FindPeer(int fd, Peer* peer);

// The user who connected a Unix socket. -EAFNOSUPPORT if it is another kind of socket.
int64_t PeerUid(int fd);

// The process that connected a Unix socket or, of one that listens, the one that made it listen; 0
// if it is of another process namespace. -EAFNOSUPPORT if it is another kind of socket.
int64_t PeerPid(int fd);

ssize_t Recv(int fd, void* data, size_t length);
ssize_t Send(int fd, const void* data, size_t length);

// Memory of what was sent over a Unix socket and its peer has not received; 0 when it has all.
int64_t Untaken(int fd);

enum class ShutdownHow { kRead = 0, kWrite = 1, kBoth = 2 };
int Shutdown(int fd, ShutdownHow how);

int SocketPair(int (&fds)[2]);

// 1 if the peer has closed its end of a stream socket or shut it down, whatever of its bytes is
// still to be received; else 0.
int PeerClosed(int fd);

}  // namespace overlaybd_nbd
