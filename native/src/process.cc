// Calls of a long-running process to the system. See process.h.
#include "process.h"

#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <new>

#include "address.h"

namespace overlaybd_nbd {
namespace {

// Newer than the headers of some build machines.
constexpr int kSetIoFlusher = 57;

}  // namespace

int Notify(const char* path, size_t path_length, const char* text, size_t text_length) {
  Address address;
  const int filled = FillUnixPeer(path, path_length, &address);
  if (filled < 0) return filled;
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  const ssize_t n =
      ::sendto(fd, text, text_length, MSG_DONTWAIT | MSG_NOSIGNAL, address.Base(), address.length);
  const int result = n < 0 ? -errno : 0;
  ::close(fd);
  return result;
}

int SetIoFlusher() { return ::prctl(kSetIoFlusher, 1, 0, 0, 0) == 0 ? 0 : -errno; }

int ExitWithin(unsigned milliseconds, int code) {
  struct Plan {
    timespec time;
    int code;
  };
  auto* const plan = new (std::nothrow)
      Plan{{milliseconds / 1000, static_cast<long>(milliseconds % 1000) * 1'000'000}, code};
  if (plan == nullptr) return -ENOMEM;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  const int error = pthread_create(
      &thread, nullptr,
      [](void* data) -> void* {
        const auto* const planned = static_cast<Plan*>(data);
        ::nanosleep(&planned->time, nullptr);
        ::_exit(planned->code);
      },
      plan);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (error != 0) {
    delete plan;
    return -error;
  }
  pthread_detach(thread);
  return 0;
}

int HasCapability(unsigned capability) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (capability >= 32 * _LINUX_CAPABILITY_U32S_3) return 0;
  if (::syscall(SYS_capget, &header, data) != 0) return -errno;
  return (data[capability / 32].effective >> (capability % 32)) & 1u;
}

}  // namespace overlaybd_nbd
