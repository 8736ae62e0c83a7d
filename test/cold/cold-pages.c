// An LD_PRELOAD library for tests: pages of files are at random not in the page cache when a
// program looks. So it finds tests and code that assume that they always are. preadv2 with
// RWF_NOWAIT answers EAGAIN or less than asked for, and mincore clears a page's bit.
//
// COLD_PERCENT (default 20) of these calls meet a cold page. As with a real disk, a page that this
// process has just read or written is warm for a while. So with 100 every page is cold at first,
// and a read that was loaded by a thread gets its bytes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { kPageBits = 12, kPage = 1 << kPageBits, kWarmMs = 2000, kSlots = 1 << 18, kMaps = 4096 };

// When a page was read or written, by its hash. Two pages with the same hash only make each other
// warm.
typedef _Atomic uint32_t Table[kSlots];

// The mappings without access rights, whose pages mincore is asked for.
static struct {
  _Atomic(char*) begin;
  size_t length;
  uint64_t file;
} maps[kMaps];
static atomic_uint map_count;

#define REAL(name)               \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static uint32_t NowMs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000) | 1;
}

static unsigned Random(void) {
  static _Thread_local unsigned seed;
  if (seed == 0) seed = (NowMs() * 2654435761u ^ (unsigned)(uintptr_t)&seed) | 1;
  return (unsigned)rand_r(&seed);
}

static int MeetsColdPage(void) {
  static int percent = -1;
  if (percent < 0) {
    const char* const text = getenv("COLD_PERCENT");
    percent = text ? atoi(text) : 20;
  }
  return (int)(Random() % 100) < percent;
}

static uint64_t FileOf(int fd) {
  const int before = errno;
  struct stat status;
  const uint64_t file =
      fstat(fd, &status) == 0 ? (uint64_t)status.st_dev << 32 ^ (uint64_t)status.st_ino : 0;
  errno = before;
  return file;
}

static _Atomic uint32_t* Slot(uint64_t file, uint64_t page) {
  static Table own;
  static _Atomic(_Atomic uint32_t*) table;
  if (!table) {
    const int before = errno;
    const char* const path = getenv("COLD_TABLE");
    const int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void* const shared = mmap(NULL, sizeof(Table), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    table = shared == MAP_FAILED ? own : shared;
    errno = before;
  }
  const uint64_t hash = (file * 0x9e3779b97f4a7c15u + page) * 0xbf58476d1ce4e5b9u;
  return &table[hash >> 32 & (kSlots - 1)];
}

static void Warm(int fd, off_t position, ssize_t length) {
  if (length <= 0) return;
  const uint64_t file = FileOf(fd);
  const uint32_t now = NowMs();
  for (off_t page = position >> kPageBits; page <= (position + length - 1) >> kPageBits; ++page) {
    atomic_store(Slot(file, (uint64_t)page), now);
  }
}

// Chooses a page from `begin` to `end` that is not warm. Returns `end` if there is none.
static uint64_t ColdPage(uint64_t file, uint64_t begin, uint64_t end) {
  const uint32_t now = NowMs();
  // Half of them at the beginning, so that not even a byte is there.
  uint64_t page = Random() & 1 ? begin : begin + Random() % (end - begin);
  while (page < end && now - atomic_load(Slot(file, page)) < kWarmMs) ++page;
  return page;
}

ssize_t preadv2(int fd, const struct iovec* parts, int count, off_t position, int flags) {
  REAL(preadv2);
  if (!(flags & RWF_NOWAIT) || count != 1 || parts->iov_len == 0 || !MeetsColdPage()) {
    return real(fd, parts, count, position, flags);
  }
  const uint64_t begin = (uint64_t)position >> kPageBits;
  const uint64_t end = ((uint64_t)position + parts->iov_len + kPage - 1) >> kPageBits;
  const uint64_t cold = ColdPage(FileOf(fd), begin, end);
  if (cold == end) return real(fd, parts, count, position, flags);
  if (cold > begin) {
    const struct iovec before = {parts->iov_base, (cold << kPageBits) - (uint64_t)position};
    return real(fd, &before, 1, position, flags);
  }
  // Other errors, and the end of the file, are as they are.
  char byte;
  const struct iovec first = {&byte, 1};
  const ssize_t n = real(fd, &first, 1, position, flags);
  if (n <= 0) return n;
  errno = EAGAIN;
  return -1;
}

ssize_t pread(int fd, void* data, size_t length, off_t position) {
  REAL(pread);
  const ssize_t n = real(fd, data, length, position);
  Warm(fd, position, n);
  return n;
}

ssize_t pwrite(int fd, const void* data, size_t length, off_t position) {
  REAL(pwrite);
  const ssize_t n = real(fd, data, length, position);
  Warm(fd, position, n);
  return n;
}

void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t position) {
  REAL(mmap);
  void* const map = real(address, length, protection, flags, fd, position);
  if (map == MAP_FAILED || protection != PROT_NONE || fd < 0 || position != 0) return map;
  const unsigned i = atomic_fetch_add(&map_count, 1) % kMaps;
  maps[i].length = length;
  maps[i].file = FileOf(fd);
  atomic_store(&maps[i].begin, map);
  return map;
}

int mincore(void* address, size_t length, unsigned char* state) {
  REAL(mincore);
  const int result = real(address, length, state);
  if (result != 0 || length == 0 || !MeetsColdPage()) return result;
  const unsigned newest = atomic_load(&map_count);
  for (unsigned i = newest; i-- > (newest > kMaps ? newest - kMaps : 0);) {
    char* const map = atomic_load(&maps[i % kMaps].begin);
    const uint64_t offset = (uint64_t)((char*)address - map);
    if ((char*)address < map || offset >= maps[i % kMaps].length) continue;
    const uint64_t begin = offset >> kPageBits;
    const uint64_t end = (offset + length + kPage - 1) >> kPageBits;
    const uint64_t cold = ColdPage(maps[i % kMaps].file, begin, end);
    if (cold < end) state[cold - begin] = 0;
    break;
  }
  return result;
}

// The same with offsets of 64 bits, under the names that programs compiled for them use.
ssize_t preadv64v2(int fd, const struct iovec* parts, int count, off_t position, int flags) {
  return preadv2(fd, parts, count, position, flags);
}
ssize_t pread64(int fd, void* data, size_t length, off_t position) {
  return pread(fd, data, length, position);
}
ssize_t pwrite64(int fd, const void* data, size_t length, off_t position) {
  return pwrite(fd, data, length, position);
}
void* mmap64(void* address, size_t length, int protection, int flags, int fd, off_t position) {
  return mmap(address, length, protection, flags, fd, position);
}
