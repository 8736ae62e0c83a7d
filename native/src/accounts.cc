// Users and groups over getpwnam_r and getgrnam_r. See accounts.h.
#include "accounts.h"

#include <grp.h>
#include <pwd.h>

#include <cerrno>
#include <vector>

namespace overlaybd_nbd {
namespace {

// A group with very many members needs more than any first guess.
constexpr size_t kFirstRoom = 4096;
constexpr size_t kMostRoom = size_t{1} << 24;

template <typename Record>
using Lookup = int (*)(const char*, Record*, char*, size_t, Record**);

template <typename Record, typename Id>
int64_t Find(const char* name, Lookup<Record> lookup, Id Record::*id) {
  for (size_t size = kFirstRoom; size <= kMostRoom; size *= 4) {
    std::vector<char> room(size);
    Record record;
    Record* found = nullptr;
    const int error = lookup(name, &record, room.data(), room.size(), &found);
    if (found != nullptr) return record.*id;
    // What they return when there is none differs from system to system.
    if (error == 0 || error == ESRCH || error == EBADF || error == EPERM) return -ENOENT;
    if (error != ERANGE && error != EINTR) return -error;
  }
  return -ERANGE;
}

}  // namespace

int64_t UserId(const char* name) { return Find<passwd>(name, getpwnam_r, &passwd::pw_uid); }
int64_t GroupId(const char* name) { return Find<group>(name, getgrnam_r, &group::gr_gid); }

}  // namespace overlaybd_nbd
