// Image files that are open, by descriptor. See file-table.h.
#include "file-table.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "file-windows.h"
#include "file.h"

namespace overlaybd_nbd {
namespace {

// More than any service may have; threads read files above it, which is correct, but slower.
constexpr int kMaxDescriptor = 1 << 16;
// mincore writes a byte for each page: enough for a read of 32 MiB, the longest possible.
constexpr size_t kMaxPagesAtOnce = 8192 + 1;

// Reactors read it without a lock. An entry is set before they get its descriptor, and removed when
// none of them uses it any longer.
std::atomic<FileEntry*> entries[kMaxDescriptor];

size_t PageSize() {
  static const auto size = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

bool CanNotWait(int fd) {
  char byte;
  return PreadNoWait(fd, &byte, 1, 0) != -EOPNOTSUPP;
}

// Closing a file of FUSE asks its server (FUSE_FLUSH), and no signal ends that wait: the process
// could not end while the server does not answer. So this asks right after the file is opened,
// while the server answers: if the server does not implement it, which is usual for read-only ones,
// the kernel does not ask again.
void AskForFlush(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy >= 0) ::close(copy);
}

}  // namespace

FileEntry::~FileEntry() {
  if (map != nullptr) ::munmap(map, map_length);
}

bool RememberFile(int fd, FileEntry* entry) {
  if (fd < 0 || fd >= kMaxDescriptor) return false;
  entries[fd].store(entry, std::memory_order_release);
  return true;
}

FileEntry* FindFile(int fd) {
  if (fd < 0 || fd >= kMaxDescriptor) return nullptr;
  return entries[fd].load(std::memory_order_acquire);
}

void ForgetFile(int fd) {
  if (fd < 0 || fd >= kMaxDescriptor) return;
  FileEntry* const entry = entries[fd].exchange(nullptr);
  if (entry == nullptr) return;
  if (KeepsWindows(*entry)) FileWindows::Instance().Forget(fd);
  delete entry;
}

FileEntry* ProbeFile(int fd, const char* path, dev_t device, bool is_owner, uint64_t size) {
  auto* const entry = new FileEntry;
  entry->path = path;
  entry->device = device;
  struct statfs system = {};
  if (::fstatfs(fd, &system) != 0) system.f_type = 0;
  if (system.f_type == FUSE_SUPER_MAGIC) AskForFlush(fd);
  const bool is_overlay = system.f_type == OVERLAYFS_SUPER_MAGIC;
  if (CanNotWait(fd)) {
    entry->access = FileAccess::kNoWait;
  } else if (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC) {
    entry->access = FileAccess::kMemory;
  }
  // For a user who neither owns a file nor may write to it, mincore says that all of it is in
  // memory.
  if (is_owner && size > 0 && (entry->access == FileAccess::kNoWait || is_overlay)) {
    // PROT_NONE: no page of it is ever touched, and mlock leaves it alone (memory.cc).
    void* const map = ::mmap(nullptr, size, PROT_NONE, MAP_SHARED, fd, 0);
    if (map != MAP_FAILED) {
      entry->map = map;
      entry->map_length = size;
      if (is_overlay && entry->access == FileAccess::kThreads) {
        entry->access = FileAccess::kResident;
      }
    }
  }
  return entry;
}

bool KeepsWindows(const FileEntry& entry) {
  return entry.access == FileAccess::kThreads || entry.access == FileAccess::kResident;
}

bool IsResident(const FileEntry& entry, uint64_t position, size_t length) {
  if (entry.map == nullptr || position + length > entry.map_length) return false;
  if (length == 0) return true;
  const size_t page = PageSize();
  const uint64_t begin = position / page * page;
  const size_t pages = (position + length - begin + page - 1) / page;
  if (pages > kMaxPagesAtOnce) return false;
  unsigned char state[kMaxPagesAtOnce];
  if (::mincore(static_cast<char*>(entry.map) + begin, pages * page, state) != 0) return false;
  unsigned char all = 1;
  for (size_t i = 0; i < pages; ++i) all &= state[i];
  return (all & 1) != 0;
}

ssize_t ReadAtHand(int fd, void* data, size_t length, uint64_t position) {
  const FileEntry* const entry = FindFile(fd);
  if (entry == nullptr) return PreadNoWait(fd, data, length, position);
  switch (entry->access) {
    case FileAccess::kNoWait:
      return PreadNoWait(fd, data, length, position);
    case FileAccess::kMemory:
      return PreadFull(fd, data, length, position);
    case FileAccess::kResident:
      if (IsResident(*entry, position, length)) return PreadFull(fd, data, length, position);
      break;
    case FileAccess::kThreads:
      break;
  }
  return FileWindows::Instance().Read(fd, data, length, position);
}

}  // namespace overlaybd_nbd
