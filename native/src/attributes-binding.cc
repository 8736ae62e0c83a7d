// attributes.h for JavaScript. Described in daemon/native/attributes.ts.
#include "arguments.h"
#include "attributes.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

std::string NameArgument(const Napi::CallbackInfo& info, size_t index, const char* what) {
  const Bytes bytes = BytesArgument(info, index);
  std::string name(reinterpret_cast<const char*>(bytes.data), bytes.size);
  if (name.find('\0') == std::string::npos) return name;
  throw Napi::RangeError::New(info.Env(), std::string(what) + ": has a NUL byte");
}

FilePlace PlaceArgument(const Napi::CallbackInfo& info) {
  return {DescriptorArgument(info), NameArgument(info, 1, "name")};
}

Napi::Value MakeNodeCall(const Napi::CallbackInfo& info) {
  const FilePlace place = PlaceArgument(info);
  const uint64_t mode = IntegerArgument(info, 2, "mode", 0177777);
  const uint64_t major = IntegerArgument(info, 3, "major", UINT32_MAX);
  const uint64_t minor = IntegerArgument(info, 4, "minor", UINT32_MAX);
  return ToNumber(info, MakeNode(place, static_cast<uint32_t>(mode), static_cast<uint32_t>(major),
                                 static_cast<uint32_t>(minor)));
}

Napi::Value SetTimesCall(const Napi::CallbackInfo& info) {
  const FilePlace place = PlaceArgument(info);
  const auto seconds = static_cast<int64_t>(IntegerArgument(info, 2, "seconds", kMaxSafeInteger));
  const bool is_before = IntegerArgument(info, 3, "before1970", 1) == 1;
  const uint64_t nanoseconds = IntegerArgument(info, 4, "nanoseconds", 999'999'999);
  timespec time = {};
  time.tv_sec = is_before ? -seconds : seconds;
  time.tv_nsec = static_cast<int64_t>(nanoseconds);
  return ToNumber(info, SetTimes(place, time));
}

Napi::Value SetXattrCall(const Napi::CallbackInfo& info) {
  const FilePlace place = PlaceArgument(info);
  const std::string name = NameArgument(info, 2, "xattr");
  const Bytes value = BytesArgument(info, 3);
  return ToNumber(info, SetXattr(place, name, value.data, value.size));
}

Napi::Value ListXattrsCall(const Napi::CallbackInfo& info) {
  const FilePlace place = PlaceArgument(info);
  const Bytes into = BytesArgument(info, 2);
  return ToNumber(info, ListXattrs(place, into.data, into.size));
}

Napi::Value GetXattrCall(const Napi::CallbackInfo& info) {
  const FilePlace place = PlaceArgument(info);
  const std::string name = NameArgument(info, 2, "xattr");
  const Bytes into = BytesArgument(info, 3);
  return ToNumber(info, GetXattr(place, name, into.data, into.size));
}

}  // namespace

void ExportAttributes(Napi::Object exports) {
  Export<MakeNodeCall>(exports, "makeNode");
  Export<SetTimesCall>(exports, "setTimes");
  Export<SetXattrCall>(exports, "setXattr");
  Export<ListXattrsCall>(exports, "listXattrs");
  Export<GetXattrCall>(exports, "getXattr");
}

}  // namespace overlaybd_nbd
