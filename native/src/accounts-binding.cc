// accounts.h for JavaScript. Signatures and meaning: daemon/native/binding.ts.
#include <cerrno>

#include "accounts.h"
#include "arguments.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

// Longer than any name that a system allows.
constexpr size_t kNameSize = 257;

template <int64_t (*find)(const char*)>
Napi::Value FindCall(const Napi::CallbackInfo& info) {
  char name[kNameSize];
  const size_t length = StringArgument(info, 0, "name", name, sizeof(name));
  return ToNumber(info, length < sizeof(name) ? find(name) : -ENOENT);
}

}  // namespace

void ExportAccounts(Napi::Object exports) {
  Export<FindCall<UserId>>(exports, "userId");
  Export<FindCall<GroupId>>(exports, "groupId");
}

}  // namespace overlaybd_nbd
