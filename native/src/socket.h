// Stream sockets as plain descriptors: listen, accept, recv, send. It does not depend on Node.js or
// NBD. Every function that returns a number returns one >= 0, or -errno. No function blocks.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

#include "address.h"

namespace overlaybd_nbd {

// `host` is a numeric IPv4 or IPv6 address (with %scope if link-local); -EINVAL if it is neither.
int ListenTcp(const char* host, uint16_t port, int backlog);

// `cid` may be VMADDR_CID_ANY; with `port` 0 the kernel chooses one.
int ListenVsock(uint32_t cid, uint32_t port, int backlog);

// Makes a passed listening socket nonblocking and close-on-exec. 0, or -ENOTSOCK, -EPROTOTYPE (not
// a stream socket), -EINVAL (does not listen), -EAFNOSUPPORT (an unknown family).
int AdoptListener(int fd);

// Connects to a Unix socket; "@name" is an abstract one. -ECONNREFUSED if no process listens,
// -EAGAIN if the backlog is full at the moment.
int ConnectUnix(const char* path, size_t length);

int Accept(int listen_fd);

// Makes a TCP connection end if its peer vanishes: after about `seconds`, half of them without any
// segment from the peer, or all of them without an acknowledgement of sent data. Also sets
// TCP_NODELAY. Fails without an effect for other sockets.
int KeepAlive(int fd, int seconds);

// Only TCP_USER_TIMEOUT. It also ends connections whose peer answers but takes no data.
int SetUserTimeout(int fd, unsigned milliseconds);

// How many bytes of replies the kernel keeps for a peer that has not received them. It doubles the
// number, for its own overhead, and limits it to net.core.wmem_max. Without an effect if the socket
// has as much, or would have less than before because of the limit. Not for TCP, which adapts the
// buffer until it is set.
int RaiseSendBuffer(int fd, int bytes);

// -EAFNOSUPPORT if the socket is neither TCP nor vsock.
int64_t LocalPort(int fd);

// "tcp://127.0.0.1:80", "unix:///path", "unix://@abstract", "vsock://2:80", "vsock://:80" (any CID)
// or "unknown", NUL-terminated.
constexpr size_t kNameSize = 128;
void LocalName(int fd, char (&name)[kNameSize]);

// The other end of a connected socket. The family decides which members have a value.
struct Peer {
  int family = AF_UNSPEC;        // AF_INET for TCP, also over IPv6; AF_VSOCK or AF_UNIX
  char host[kTcpTextSize] = {};  // AF_INET: "127.0.0.1", "[fe80::1%eth0]"
  uint32_t port = 0;             // AF_INET, AF_VSOCK
  uint32_t cid = 0;              // AF_VSOCK
  ucred user = {};               // AF_UNIX
};

// false if it is not known: a TCP connection that its peer has reset, or another kind of socket.
bool FindPeer(int fd, Peer* peer);

// The user who connected a Unix socket. -EAFNOSUPPORT for other kinds of sockets.
int64_t PeerUid(int fd);

// The process that connected a Unix socket or, for a listening one, the process that called listen;
// 0 if it is in another process namespace. -EAFNOSUPPORT for other kinds of sockets.
int64_t PeerPid(int fd);

ssize_t Recv(int fd, void* data, size_t length);
ssize_t Send(int fd, const void* data, size_t length);

// Memory of bytes that were sent over a Unix socket and not yet received; 0 if the peer has all.
int64_t Untaken(int fd);

enum class ShutdownHow { kRead = 0, kWrite = 1, kBoth = 2 };
int Shutdown(int fd, ShutdownHow how);

int SocketPair(int (&fds)[2]);

// 1 if the peer has closed its end of a stream socket or shut it down, even if bytes are still to
// be received; otherwise 0.
int PeerClosed(int fd);

}  // namespace overlaybd_nbd
