// Descriptors, over the system calls. See descriptors.h.
#include "descriptors.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace overlaybd_nbd {
namespace {

static_assert(sizeof(int) == sizeof(int32_t), "descriptors are copied as they are");

// Aligned as its headers require.
struct Control {
  alignas(cmsghdr) char space[CMSG_SPACE(kMaxDescriptors * sizeof(int))];
};

// How many descriptors the message has.
size_t CountIn(const cmsghdr* header) {
  if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) return 0;
  return (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

}  // namespace

int CloseDescriptor(int fd) {
  if (::close(fd) == 0) return 0;
  // When close is interrupted, Linux has already released the descriptor; another try could close a
  // descriptor that a different thread has just opened.
  return errno == EINTR ? 0 : -errno;
}

int TakeStandard(int fd) {
  const int taken = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (taken < 0) return -errno;
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0 || ::dup2(null, fd) < 0) {
    const int error = errno;
    if (null >= 0) ::close(null);
    ::close(taken);
    return -error;
  }
  ::close(null);
  return taken;
}

int LockFile(int fd) { return ::flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno; }

int SetCloexec(int fd, bool on) {
  return ::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) == 0 ? 0 : -errno;
}

ssize_t SendDescriptors(int fd, const void* data, size_t length, const int32_t* descriptors,
                        size_t count) {
  if (length == 0 || count > kMaxDescriptors) return -EINVAL;
  iovec bytes = {const_cast<void*>(data), length};
  msghdr message = {};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  Control control = {};
  if (count > 0) {
    message.msg_control = control.space;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
  }
  ssize_t n;
  do {
    n = ::sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n < 0 ? -errno : n;
}

ssize_t RecvDescriptors(int fd, void* data, size_t length, int32_t* descriptors, size_t count) {
  if (length == 0 || count > kMaxDescriptors) return -EINVAL;
  std::fill_n(descriptors, count, -1);
  iovec bytes = {data, length};
  Control control = {};
  msghdr message = {};
  ssize_t n;
  do {
    message = {};
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
    message.msg_control = control.space;
    message.msg_controllen = sizeof(control.space);
    n = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return -errno;
  bool lost = (message.msg_flags & MSG_CTRUNC) != 0;
  size_t filled = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    const size_t here = CountIn(header);
    for (size_t i = 0; i < here; ++i) {
      int received;
      memcpy(&received, CMSG_DATA(header) + i * sizeof(received), sizeof(received));
      if (filled < count) {
        descriptors[filled++] = received;
      } else {
        ::close(received);
        lost = true;
      }
    }
  }
  if (!lost) return n;
  for (size_t i = 0; i < filled; ++i) ::close(descriptors[i]);
  std::fill_n(descriptors, count, -1);
  return -EMSGSIZE;
}

}  // namespace overlaybd_nbd
