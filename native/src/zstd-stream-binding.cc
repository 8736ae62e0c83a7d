// The streams of codec-library.h for JavaScript. Described in daemon/native/zstd-stream.ts.
#include <cerrno>
#include <map>
#include <memory>

#include "arguments.h"
#include "codec-library.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

// Of one environment, by number.
struct Streams {
  std::map<uint32_t, std::unique_ptr<ZstdStream>> open;
  uint32_t last = 0;
};

Streams* Of(const Napi::CallbackInfo& info) { return static_cast<Streams*>(info.Data()); }

uint32_t NumberArgument(const Napi::CallbackInfo& info) {
  return static_cast<uint32_t>(IntegerArgument(info, 0, "stream", UINT32_MAX));
}

Napi::Value OpenCall(const Napi::CallbackInfo& info) {
  Streams* const streams = Of(info);
  std::unique_ptr<ZstdStream> made = ZstdStream::Make();
  if (made == nullptr) return ToNumber(info, -ENOSYS);
  const uint32_t number = ++streams->last;
  streams->open[number] = std::move(made);
  return ToNumber(info, number);
}

Napi::Value RunCall(const Napi::CallbackInfo& info) {
  const Bytes in = RangeArgument(info, 1);
  const Bytes out = RangeArgument(info, 4);
  const Descriptors progress = DescriptorRoomArgument(info, 7, "progress");
  if (in.size > INT_MAX || out.size > INT_MAX) {
    throw Napi::RangeError::New(info.Env(), "length: more than 2 GiB");
  }
  if (progress.count < 2) throw Napi::RangeError::New(info.Env(), "progress: less than 2");
  Streams* const streams = Of(info);
  const auto found = streams->open.find(NumberArgument(info));
  if (found == streams->open.end()) return ToNumber(info, -EBADF);
  const ZstdProgress done = found->second->Run(in.data, in.size, out.data, out.size);
  progress.data[0] = static_cast<int32_t>(done.consumed);
  progress.data[1] = static_cast<int32_t>(done.produced);
  return ToNumber(info, static_cast<int64_t>(done.stop));
}

Napi::Value CloseCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, Of(info)->open.erase(NumberArgument(info)) == 1 ? 0 : -EBADF);
}

}  // namespace

void ExportZstdStreams(Napi::Object exports) {
  auto owned = std::make_unique<Streams>();
  const auto free = [](void* streams) { delete static_cast<Streams*>(streams); };
  Check(napi_add_env_cleanup_hook(exports.Env(), free, owned.get()));
  // From here on the hook owns it, even if a later call fails.
  Streams* const streams = owned.release();
  Export<OpenCall>(exports, "open", streams);
  Export<RunCall>(exports, "run", streams);
  Export<CloseCall>(exports, "close", streams);
}

}  // namespace overlaybd_nbd
