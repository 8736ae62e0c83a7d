// Attributes of files for which Node.js has no call: extended attributes, times to the nanosecond,
// and nodes of devices and pipes. No symlink is followed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>

namespace overlaybd_nbd {

// A file: one in an open folder, or with an empty name what the descriptor itself is.
struct FilePlace {
  int fd;
  std::string name;
};

// All return a number >= 0, or -errno.
int MakeNode(const FilePlace& place, uint32_t mode, uint32_t major, uint32_t minor);
// Sets the times of the last change and of the last read.
int SetTimes(const FilePlace& place, const timespec& time);
int SetXattr(const FilePlace& place, const std::string& name, const uint8_t* value, size_t size);
// The names, each with a NUL after it; returns their bytes. With a size of 0 only the latter.
int64_t ListXattrs(const FilePlace& place, uint8_t* into, size_t size);
int64_t GetXattr(const FilePlace& place, const std::string& name, uint8_t* into, size_t size);

}  // namespace overlaybd_nbd
