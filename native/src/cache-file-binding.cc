// cache-file.h and the jobs of cache-jobs.h for JavaScript. Described in
// daemon/native/cache-file.ts.
#include <fcntl.h>
#include <limits.h>

#include <cerrno>
#include <vector>

#include "arguments.h"
#include "cache-file.h"
#include "exports.h"
#include "file-job-port.h"

namespace overlaybd_nbd {
namespace {

constexpr uint64_t kMostBytes = 1 << 20;
constexpr uint64_t kMostZeros = 1 << 20;

Napi::Value LockCall(const Napi::CallbackInfo& info) {
  const int fd = DescriptorArgument(info);
  const uint64_t position = PositionArgument(info, 1);
  const uint64_t length = IntegerArgument(info, 2, "length", kMaxSafeInteger, 1);
  const auto lock = static_cast<RangeLock>(IntegerArgument(info, 3, "lock", 2));
  return ToNumber(info, LockRange(fd, position, length, lock));
}

Napi::Value MemoryCall(const Napi::CallbackInfo& info) {
  const uint64_t size = IntegerArgument(info, 0, "size", kMaxSafeInteger);
  return ToNumber(info, MakeMemoryFile("overlaybd-nbd cache", size));
}

// The job has a descriptor of its own, so that the number cannot become another file's while a
// thread is stuck.
int TakeSecond(FileJobRequest* request, int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return -errno;
  request->second = OwnedDescriptor(copy);
  return 0;
}

Napi::Value StartOpenCall(const Napi::CallbackInfo& info) {
  std::vector<char> path(PATH_MAX);
  const uint64_t id = IntegerArgument(info, 0, "job", kMaxSafeInteger);
  const size_t length = StringArgument(info, 1, "path", path.data(), path.size());
  if (length == 0) return ToNumber(info, -ENOENT);
  if (length >= path.size()) return ToNumber(info, -ENAMETOOLONG);
  FileJobRequest request;
  request.kind = FileJobKind::kCacheOpen;
  request.path.assign(path.data(), length);
  request.length = IntegerArgument(info, 2, "size", kMaxSafeInteger);
  request.create = IntegerArgument(info, 3, "create", 1) == 1;
  request.ends_with_client = IntegerArgument(info, 4, "own", 1) == 1;
  return ToNumber(info, StartJobOf(info, id, std::move(request)));
}

Napi::Value StartStoreCall(const Napi::CallbackInfo& info) {
  FileJobRequest request;
  request.kind = FileJobKind::kCacheStore;
  const uint64_t id = IntegerArgument(info, 0, "job", kMaxSafeInteger);
  request.fd = DescriptorArgument(info, 1);
  request.position = PositionArgument(info, 2);
  const int second = DescriptorArgument(info, 4);
  request.record_position = PositionArgument(info, 5);
  const Bytes record = BytesArgument(info, 6);
  const Bytes bytes = BytesArgument(info, 3);
  if (bytes.size > kMostBytes || record.size > kMostBytes) return ToNumber(info, -EMSGSIZE);
  request.bytes.assign(bytes.data, bytes.data + bytes.size);
  request.record.assign(record.data, record.data + record.size);
  const int result = TakeSecond(&request, second);
  return ToNumber(info, result < 0 ? result : StartJobOf(info, id, std::move(request)));
}

Napi::Value StartChecksumCall(const Napi::CallbackInfo& info) {
  FileJobRequest request;
  request.kind = FileJobKind::kCacheChecksum;
  const uint64_t id = IntegerArgument(info, 0, "job", kMaxSafeInteger);
  request.fd = DescriptorArgument(info, 1);
  request.position = PositionArgument(info, 2);
  request.length = IntegerArgument(info, 3, "length", kMaxSafeInteger, 1);
  request.seed = static_cast<uint32_t>(IntegerArgument(info, 4, "seed", UINT32_MAX));
  return ToNumber(info, StartJobOf(info, id, std::move(request)));
}

Napi::Value StartPunchCall(const Napi::CallbackInfo& info) {
  FileJobRequest request;
  request.kind = FileJobKind::kCachePunch;
  const uint64_t id = IntegerArgument(info, 0, "job", kMaxSafeInteger);
  request.fd = DescriptorArgument(info, 1);
  request.position = PositionArgument(info, 2);
  request.length = IntegerArgument(info, 3, "length", kMaxSafeInteger);
  const int second = DescriptorArgument(info, 4);
  request.record_position = PositionArgument(info, 5);
  request.record.assign(IntegerArgument(info, 6, "zeros", kMostZeros), 0);
  const int result = TakeSecond(&request, second);
  return ToNumber(info, result < 0 ? result : StartJobOf(info, id, std::move(request)));
}

}  // namespace

void ExportCacheFiles(Napi::Object exports, void* port) {
  Export<LockCall>(exports, "lock");
  Export<MemoryCall>(exports, "memory");
  Export<StartOpenCall>(exports, "startOpen", port);
  Export<StartStoreCall>(exports, "startStore", port);
  Export<StartChecksumCall>(exports, "startChecksum", port);
  Export<StartPunchCall>(exports, "startPunch", port);
}

}  // namespace overlaybd_nbd
