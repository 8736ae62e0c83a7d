// Takes files out of the page cache, and says how much of them is in it then:
//   cold-files FILE...
// Prints JSON: the bytes of all files, and those that are still in the page cache: pages that a
// program has mapped, and all of a file whose file system is in memory.
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

namespace {

struct Totals {
  uint64_t size = 0;
  uint64_t resident = 0;
};

int Drop(const char* path, Totals* totals) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) return errno;
  const size_t size = static_cast<size_t>(status.st_size);
  totals->size += size;
  if (size == 0) return close(fd);
  // Pages that are not written yet would stay.
  if (fdatasync(fd) != 0) return errno;
  const int error = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  if (error != 0) return error;
  void* const map = mmap(nullptr, size, PROT_NONE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return errno;
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> state((size + page - 1) / page);
  if (mincore(map, size, state.data()) != 0) return errno;
  for (const unsigned char each : state) totals->resident += (each & 1) * page;
  munmap(map, size);
  return close(fd);
}

}  // namespace

int main(int count, char** words) {
  Totals totals;
  for (int i = 1; i < count; ++i) {
    const int error = Drop(words[i], &totals);
    if (error == 0) continue;
    fprintf(stderr, "cold-files: %s: %s\n", words[i], strerror(error));
    return 1;
  }
  printf("{\"size\":%llu,\"resident\":%llu}\n", static_cast<unsigned long long>(totals.size),
         static_cast<unsigned long long>(totals.resident));
  return 0;
}
