// inflater.h for JavaScript. Described in daemon/native/inflater.ts.
#include <cerrno>
#include <map>
#include <memory>

#include "arguments.h"
#include "exports.h"
#include "inflater.h"

namespace overlaybd_nbd {
namespace {

// Of one environment, by number.
struct Inflaters {
  std::map<uint32_t, std::unique_ptr<Inflater>> open;
  uint32_t last = 0;
};

Inflaters* Of(const Napi::CallbackInfo& info) { return static_cast<Inflaters*>(info.Data()); }

uint32_t NumberArgument(const Napi::CallbackInfo& info) {
  return static_cast<uint32_t>(IntegerArgument(info, 0, "inflater", UINT32_MAX));
}

Inflater* Find(const Napi::CallbackInfo& info) {
  Inflaters* const inflaters = Of(info);
  const auto found = inflaters->open.find(NumberArgument(info));
  return found == inflaters->open.end() ? nullptr : found->second.get();
}

Napi::Value OpenCall(const Napi::CallbackInfo& info) {
  Inflaters* const inflaters = Of(info);
  std::unique_ptr<Inflater> made = Inflater::Make();
  if (made == nullptr) return ToNumber(info, -ENOSYS);
  const uint32_t number = ++inflaters->last;
  inflaters->open[number] = std::move(made);
  return ToNumber(info, number);
}

Napi::Value RunCall(const Napi::CallbackInfo& info) {
  const bool to_block = IntegerArgument(info, 7, "toBlock", 1) == 1;
  const Bytes in = RangeArgument(info, 1);
  const Bytes out = RangeArgument(info, 4);
  const Descriptors progress = DescriptorRoomArgument(info, 8, "progress");
  if (in.size > INT_MAX || out.size > INT_MAX) {
    throw Napi::RangeError::New(info.Env(), "length: more than 2 GiB");
  }
  if (progress.count < 4) throw Napi::RangeError::New(info.Env(), "progress: less than 4");
  Inflater* const inflater = Find(info);
  if (inflater == nullptr) return ToNumber(info, -EBADF);
  const InflateProgress done = inflater->Run(in.data, in.size, out.data, out.size, to_block);
  progress.data[0] = static_cast<int32_t>(done.consumed);
  progress.data[1] = static_cast<int32_t>(done.produced);
  progress.data[2] = done.at_block ? 1 : 0;
  progress.data[3] = static_cast<int32_t>(done.unused_bits);
  return ToNumber(info, static_cast<int64_t>(done.stop));
}

Napi::Value WindowCall(const Napi::CallbackInfo& info) {
  const Bytes to = BytesArgument(info, 1);
  if (to.size < kInflateWindow) {
    throw Napi::RangeError::New(info.Env(), "window: less than 32768 bytes");
  }
  Inflater* const inflater = Find(info);
  if (inflater == nullptr) return ToNumber(info, -EBADF);
  return ToNumber(info, static_cast<int64_t>(inflater->Window(to.data)));
}

Napi::Value CloseCall(const Napi::CallbackInfo& info) {
  return ToNumber(info, Of(info)->open.erase(NumberArgument(info)) == 1 ? 0 : -EBADF);
}

}  // namespace

void ExportInflaters(Napi::Object exports) {
  auto owned = std::make_unique<Inflaters>();
  const auto free = [](void* inflaters) { delete static_cast<Inflaters*>(inflaters); };
  Check(napi_add_env_cleanup_hook(exports.Env(), free, owned.get()));
  // From here on the hook owns it, even if a later call fails.
  Inflaters* const inflaters = owned.release();
  Export<OpenCall>(exports, "open", inflaters);
  Export<RunCall>(exports, "run", inflaters);
  Export<WindowCall>(exports, "window", inflaters);
  Export<CloseCall>(exports, "close", inflaters);
}

}  // namespace overlaybd_nbd
