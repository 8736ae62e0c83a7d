// Arguments of a call from JavaScript as C++ values. The conversion is strict: nothing is coerced,
// so no valueOf can run and detach a buffer whose address was taken. Not for objects with fields.
#pragma once

#include <napi.h>

#include <climits>
#include <cstddef>
#include <cstdint>

#include "guard.h"

namespace overlaybd_nbd {

constexpr uint64_t kMaxSafeInteger = (uint64_t{1} << 53) - 1;

// A view of the caller's memory, valid until the call returns to JavaScript.
struct Bytes {
  uint8_t* data;
  size_t size;
};

// TypeError if it is not a number, RangeError if it is not an integer from `min` to `max`.
uint64_t IntegerArgument(const Napi::CallbackInfo& info, size_t index, const char* name,
                         uint64_t max, uint64_t min = 0);

// The same, or -1, which JavaScript passes for a value that is left out.
int64_t MinusOneArgument(const Napi::CallbackInfo& info, size_t index, const char* name,
                         uint64_t max);

inline int DescriptorArgument(const Napi::CallbackInfo& info, size_t index = 0) {
  return static_cast<int>(IntegerArgument(info, index, "fd", INT_MAX));
}

inline uint64_t PositionArgument(const Napi::CallbackInfo& info, size_t index) {
  return IntegerArgument(info, index, "position", kMaxSafeInteger);
}

// The whole Uint8Array (or Buffer), also over a SharedArrayBuffer. A detached one has no bytes.
Bytes BytesArgument(const Napi::CallbackInfo& info, size_t index);

// Bytes [offset, offset + length) of the Uint8Array at `index`, with the two numbers following it.
Bytes RangeArgument(const Napi::CallbackInfo& info, size_t index, uint64_t min_length = 0);

struct Descriptors {
  int32_t* data;
  size_t count;
};

// An Int32Array of at most 64 descriptors (else RangeError), or with room for at most 64.
Descriptors DescriptorsArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
Descriptors DescriptorRoomArgument(const Napi::CallbackInfo& info, size_t index, const char* name);

// Offsets of blocks in a buffer, from a Uint32Array. Valid as long as `Bytes` are.
struct Bounds {
  const uint32_t* data;
  size_t count;
};

Bounds BoundsArgument(const Napi::CallbackInfo& info, size_t index);

// Copies a string into `text` as UTF-8 with a NUL after it, and returns its length in bytes. If
// that is `capacity` or more, the string did not fit and the text is cut. RangeError if it has a
// NUL.
size_t StringArgument(const Napi::CallbackInfo& info, size_t index, const char* name, char* text,
                      size_t capacity);

// An Error with `code` ("EPERM") and `errno` (negative, as in Node.js), to throw.
Napi::Error SystemError(Napi::Env env, const char* subject, int negative_errno);

inline Napi::Value ToNumber(const Napi::CallbackInfo& info, int64_t value) {
  return Napi::Number::New(info.Env(), static_cast<double>(value));
}

// The function gets `data` from `info.Data()`.
template <Napi::Value (*function)(const Napi::CallbackInfo&)>
void Export(Napi::Object exports, const char* name, void* data = nullptr) {
  const napi_env env = exports.Env();
  napi_value made;
  Check(napi_create_function(env, name, NAPI_AUTO_LENGTH, GuardedCallback<function>, data, &made));
  Check(napi_set_named_property(env, exports, name, made));
}

}  // namespace overlaybd_nbd
