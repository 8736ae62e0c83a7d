// Arguments of a call from JavaScript -> C++ values. See arguments.h.
#include "arguments.h"

#include <uv.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>

#include "descriptors.h"

namespace overlaybd_nbd {
namespace {

[[noreturn]] void ThrowType(Napi::Env env, const char* name, const char* expected) {
  char message[128];
  snprintf(message, sizeof(message), "%s: must be %s", name, expected);
  throw Napi::TypeError::New(env, message);
}

[[noreturn]] void ThrowInteger(Napi::Env env, const char* name, double value, uint64_t min,
                               uint64_t max) {
  char message[160];
  snprintf(message, sizeof(message), "%s: %.17g is not an integer from %llu to %llu", name, value,
           static_cast<unsigned long long>(min), static_cast<unsigned long long>(max));
  throw Napi::RangeError::New(env, message);
}

[[noreturn]] void ThrowOutside(Napi::Env env, uint64_t offset, uint64_t length, size_t size) {
  char message[160];
  snprintf(message, sizeof(message), "range at %llu of %llu bytes: outside the buffer of %zu bytes",
           static_cast<unsigned long long>(offset), static_cast<unsigned long long>(length), size);
  throw Napi::RangeError::New(env, message);
}

}  // namespace

uint64_t IntegerArgument(const Napi::CallbackInfo& info, size_t index, const char* name,
                         uint64_t max, uint64_t min) {
  double value;
  if (napi_get_value_double(info.Env(), info[index], &value) != napi_ok) {
    ThrowType(info.Env(), name, "a number");
  }
  // Written so that NaN fails; `max` is at most 2^53 - 1, so the comparison is exact.
  if (!(value >= static_cast<double>(min) && value <= static_cast<double>(max)) ||
      value != std::floor(value)) {
    ThrowInteger(info.Env(), name, value, min, max);
  }
  return static_cast<uint64_t>(value);
}

int64_t MinusOneArgument(const Napi::CallbackInfo& info, size_t index, const char* name,
                         uint64_t max) {
  double value;
  if (napi_get_value_double(info.Env(), info[index], &value) == napi_ok && value == -1) return -1;
  return static_cast<int64_t>(IntegerArgument(info, index, name, max));
}

Bytes BytesArgument(const Napi::CallbackInfo& info, size_t index) {
  napi_typedarray_type type;
  size_t size;
  void* data;
  if (napi_get_typedarray_info(info.Env(), info[index], &type, &size, &data, nullptr, nullptr) !=
          napi_ok ||
      type != napi_uint8_array) {
    ThrowType(info.Env(), "buffer", "a Uint8Array");
  }
  return {static_cast<uint8_t*>(data), size};
}

Bytes RangeArgument(const Napi::CallbackInfo& info, size_t index, uint64_t min_length) {
  const uint64_t offset = IntegerArgument(info, index + 1, "offset", kMaxSafeInteger);
  const uint64_t length = IntegerArgument(info, index + 2, "length", kMaxSafeInteger, min_length);
  const Bytes whole = BytesArgument(info, index);
  if (offset > whole.size || length > whole.size - offset) {
    ThrowOutside(info.Env(), offset, length, whole.size);
  }
  return {whole.data + offset, static_cast<size_t>(length)};
}

Bounds BoundsArgument(const Napi::CallbackInfo& info, size_t index) {
  napi_typedarray_type type;
  size_t count;
  void* data;
  if (napi_get_typedarray_info(info.Env(), info[index], &type, &count, &data, nullptr, nullptr) !=
          napi_ok ||
      type != napi_uint32_array) {
    ThrowType(info.Env(), "bounds", "a Uint32Array");
  }
  return {static_cast<const uint32_t*>(data), count};
}

Descriptors DescriptorRoomArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  napi_typedarray_type type;
  size_t count;
  void* data;
  if (napi_get_typedarray_info(info.Env(), info[index], &type, &count, &data, nullptr, nullptr) !=
          napi_ok ||
      type != napi_int32_array) {
    ThrowType(info.Env(), name, "an Int32Array");
  }
  if (count > kMaxDescriptors) {
    throw Napi::RangeError::New(
        info.Env(), std::string(name) + ": more than " + std::to_string(kMaxDescriptors));
  }
  return {static_cast<int32_t*>(data), count};
}

Descriptors DescriptorsArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  const Descriptors all = DescriptorRoomArgument(info, index, name);
  for (size_t i = 0; i < all.count; ++i) {
    if (all.data[i] < 0) ThrowInteger(info.Env(), name, all.data[i], 0, INT_MAX);
  }
  return all;
}

size_t StringArgument(const Napi::CallbackInfo& info, size_t index, const char* name, char* text,
                      size_t capacity) {
  size_t length;
  if (napi_get_value_string_utf8(info.Env(), info[index], nullptr, 0, &length) != napi_ok) {
    ThrowType(info.Env(), name, "a string");
  }
  size_t copied;
  napi_get_value_string_utf8(info.Env(), info[index], text, capacity, &copied);
  if (memchr(text, '\0', copied) != nullptr) {
    throw Napi::RangeError::New(info.Env(), std::string(name) + ": must not hold a NUL");
  }
  return length;
}

Napi::Error SystemError(Napi::Env env, const char* subject, int negative_errno) {
  char message[160];
  snprintf(message, sizeof(message), "%s: %s, %s", subject, uv_err_name(negative_errno),
           uv_strerror(negative_errno));
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", Napi::String::New(env, uv_err_name(negative_errno)));
  error.Set("errno", Napi::Number::New(env, negative_errno));
  return error;
}

}  // namespace overlaybd_nbd
