// Stream sockets as plain descriptors: listen, accept, recv, send. Knows neither Node nor NBD.
// Every function that returns a number returns one >= 0, or -errno. Nothing here blocks.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace overlaybd_nbd {

// `host` is a numeric IPv4 or IPv6 address (with %scope if link-local); -EINVAL if it is neither.
int ListenTcp(const char* host, uint16_t port, int backlog);

// Does not unlink what is at `path`. -ENAMETOOLONG if the path does not fit in sun_path.
int ListenUnix(const char* path, size_t length, int backlog);

// 0 if a process listens at `path`, also when its backlog is full at the moment.
// -ECONNREFUSED means that the socket file was left behind by a process that is gone.
int ProbeUnix(const char* path, size_t length);

int Accept(int listen_fd);

// -EAFNOSUPPORT if the socket is not TCP.
int LocalPort(int fd);

// "127.0.0.1:41234", "[::1]:41234", "pid 123 uid 0" or "unknown", NUL-terminated.
constexpr size_t kPeerNameSize = 64;
void PeerName(int fd, char (&name)[kPeerNameSize]);

ssize_t Recv(int fd, void* data, size_t length);
ssize_t Send(int fd, const void* data, size_t length);

enum class ShutdownHow { kRead = 0, kWrite = 1, kBoth = 2 };
int Shutdown(int fd, ShutdownHow how);

int CloseDescriptor(int fd);
int SocketPair(int (&fds)[2]);

}  // namespace overlaybd_nbd
