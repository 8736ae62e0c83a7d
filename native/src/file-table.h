// Facts about the image files that are open in this process: how to read their bytes without
// waiting for a disk. It does not depend on Node.js or a format.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "file-misses.h"

namespace overlaybd_nbd {

// How to read bytes that need no waiting, decided once when a file is opened
// (docs/architecture.md).
enum class FileAccess {
  kThreads,   // unknown: the pool's threads read, and keep what they read for a while
  kNoWait,    // preadv2 with RWF_NOWAIT
  kMemory,    // tmpfs and ramfs: there is no disk
  kResident,  // overlayfs: mincore tells what is in the page cache; the rest as kThreads, because a
              // hole of a tmpfs below it never gets there
};

struct FileEntry {
  FileEntry() = default;
  ~FileEntry();
  FileEntry(const FileEntry&) = delete;
  FileEntry& operator=(const FileEntry&) = delete;

  std::string path;
  dev_t device = 0;
  FileAccess access = FileAccess::kThreads;
  // A mapping without access rights, for mincore; null if its answer would have no meaning.
  void* map = nullptr;
  size_t map_length = 0;
  // How often bytes of the file were replaced. Only files of the cache change.
  std::atomic<uint32_t> changes{0};
  // Of reads by the pool's threads.
  FileMisses misses;
  // These belong to the pool, which guards them.
  int jobs = 0;
  bool closing = false;
};

// Takes over the entry. False if the descriptor's number is too high for the table: then nothing is
// known about the file.
bool RememberFile(int fd, FileEntry* entry);
// Null if nothing is known. Valid until the file is closed; no file is closed while it is in use.
FileEntry* FindFile(int fd);
// Also removes the mapping. The descriptor stays open.
void ForgetFile(int fd);

// Determines the facts about a file that was just opened. May wait for a disk.
FileEntry* ProbeFile(int fd, const char* path, dev_t device, bool is_owner, uint64_t size);

// Whether all pages of a range are in the page cache. A page may leave it right afterwards.
bool IsResident(const FileEntry& entry, uint64_t position, size_t length);

// Whether the pool's threads keep what they read.
bool KeepsWindows(const FileEntry& entry);

// Reads bytes that need no waiting. Less than `length`: the next bytes would need waiting, or the
// file ends. -EAGAIN: no byte is available.
ssize_t ReadAtHand(int fd, void* data, size_t length, uint64_t position);

}  // namespace overlaybd_nbd
