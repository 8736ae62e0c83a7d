// Memory of this process, over the system calls. See memory.h.
#include "memory.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace overlaybd_nbd {
namespace {

// What a heap keeps free at its end.
constexpr int kMostFreeBytes = 1 << 20;
// Blocks of this size have a mapping of their own, which is unmapped when they are freed. Decoded
// pieces, which have up to 4 MiB, are smaller: with a mapping for each, the kernel would fill new
// pages with zeros for each, which takes as long as half of the decoding.
constexpr int kOwnMappingBytes = 8 << 20;

struct Mapping {
  uint64_t start;
  uint64_t end;
  char access[5];
  uint64_t inode;  // 0 if it is not of a file
};

// The next mapping of /proc/self/maps; false at its end.
bool NextMapping(FILE* maps, Mapping* mapping) {
  char line[256];
  while (::fgets(line, sizeof(line), maps) != nullptr) {
    const bool parsed =
        sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %*s %*s %" SCNu64, &mapping->start, &mapping->end,
               mapping->access, &mapping->inode) == 4;
    // Rings that the kernel shares with libuv (io_uring): they cannot be dropped, and have no file.
    if (strstr(line, " anon_inode:") != nullptr) mapping->inode = 0;
    // The rest of a long path is not another line.
    while (strchr(line, '\n') == nullptr && ::fgets(line, sizeof(line), maps) != nullptr) {
    }
    if (parsed) return true;
  }
  return false;
}

}  // namespace

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

void LimitFreeMemory() {
#ifdef __GLIBC__
  ::mallopt(M_TRIM_THRESHOLD, kMostFreeBytes);
  ::mallopt(M_MMAP_THRESHOLD, kOwnMappingBytes);
#endif
}

int64_t ReturnFreeMemory() {
#ifdef __GLIBC__
  return ::malloc_trim(0);
#else
  return 0;
#endif
}

}  // namespace overlaybd_nbd
