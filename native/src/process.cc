// What a long-running process asks of the system. See process.h.
#include "process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>

#include "address.h"

namespace overlaybd_nbd {
namespace {

// Newer than the headers of some machines that compile.
constexpr int kSetIoFlusher = 57;

struct Mapping {
  uint64_t start;
  uint64_t end;
  char access[5];
  uint64_t inode;  // 0 if it is not of a file
};

// The next one of /proc/self/maps; false at its end.
bool NextMapping(FILE* maps, Mapping* mapping) {
  char line[256];
  while (::fgets(line, sizeof(line), maps) != nullptr) {
    const bool parsed =
        sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64, &mapping->start, &mapping->end,
               mapping->access, &mapping->inode) == 4;
    // Rings that the kernel shares with libuv (io_uring): they cannot be dropped, and are of no
    // file.
    if (strstr(line, " anon_inode:") != nullptr) mapping->inode = 0;
    // The rest of a long path is no line of its own.
    while (strchr(line, '\n') == nullptr && ::fgets(line, sizeof(line), maps) != nullptr) {
    }
    if (parsed) return true;
  }
  return false;
}

}  // namespace

int LockFile(int fd) { return ::flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : -errno; }

int SetCloexec(int fd, bool on) {
  return ::fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) == 0 ? 0 : -errno;
}

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

int64_t LockFiles() {
  FILE* const maps = ::fopen("/proc/self/maps", "re");
  if (maps == nullptr) return -errno;
  int64_t result = 0;
  Mapping mapping;
  while (result >= 0 && NextMapping(maps, &mapping)) {
    if (mapping.inode == 0 || mapping.access[0] != 'r') continue;
    const auto size = static_cast<size_t>(mapping.end - mapping.start);
    if (::mlock(reinterpret_cast<void*>(static_cast<uintptr_t>(mapping.start)), size) == 0) {
      result += static_cast<int64_t>(size);
    } else {
      result = -errno;
    }
  }
  ::fclose(maps);
  return result;
}

int64_t ReleasePages(void* data, size_t size) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(data);
  const uintptr_t begin = (address + page - 1) / page * page;
  const uintptr_t end = (address + size) / page * page;
  if (end <= begin) return 0;
  if (::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED) != 0) return -errno;
  return static_cast<int64_t>(end - begin);
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
