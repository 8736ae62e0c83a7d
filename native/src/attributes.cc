// Attributes of files, over the system calls. See attributes.h.
#include "attributes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <cerrno>

namespace overlaybd_nbd {
namespace {

// Linux has calls for xattrs that take a folder only since 6.13.
std::string PathOf(const FilePlace& place) {
  return "/proc/self/fd/" + std::to_string(place.fd) + "/" + place.name;
}

int Result(int result) { return result == 0 ? 0 : -errno; }

}  // namespace

int MakeNode(const FilePlace& place, uint32_t mode, uint32_t major, uint32_t minor) {
  return Result(::mknodat(place.fd, place.name.c_str(), mode, makedev(major, minor)));
}

int SetTimes(const FilePlace& place, const timespec& time) {
  const timespec both[2] = {time, time};
  if (place.name.empty()) return Result(::futimens(place.fd, both));
  return Result(::utimensat(place.fd, place.name.c_str(), both, AT_SYMLINK_NOFOLLOW));
}

int SetXattr(const FilePlace& place, const std::string& name, const uint8_t* value, size_t size) {
  if (place.name.empty()) return Result(::fsetxattr(place.fd, name.c_str(), value, size, 0));
  return Result(::lsetxattr(PathOf(place).c_str(), name.c_str(), value, size, 0));
}

int64_t ListXattrs(const FilePlace& place, uint8_t* into, size_t size) {
  char* const names = reinterpret_cast<char*>(into);
  const ssize_t bytes = place.name.empty() ? ::flistxattr(place.fd, names, size)
                                           : ::llistxattr(PathOf(place).c_str(), names, size);
  return bytes < 0 ? -errno : bytes;
}

int64_t GetXattr(const FilePlace& place, const std::string& name, uint8_t* into, size_t size) {
  const ssize_t bytes = place.name.empty()
                            ? ::fgetxattr(place.fd, name.c_str(), into, size)
                            : ::lgetxattr(PathOf(place).c_str(), name.c_str(), into, size);
  return bytes < 0 ? -errno : bytes;
}

}  // namespace overlaybd_nbd
