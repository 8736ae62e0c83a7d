// The border between C and C++: a C caller never gets an exception, in any state of the
// environment. An environment that is ending accepts no JavaScript exception, and all functions
// fail that would run JavaScript: then nothing can be reported, and nothing is left to do.
#pragma once

#include <napi.h>

namespace overlaybd_nbd {

// A function of Node-API has failed. If it left a JavaScript exception, that is the error.
struct NodeApiError {
  napi_status status;
};

// Used instead of node-addon-api's own checks if an environment may be ending: their exceptions in
// an ending environment can end the process.
inline void Check(napi_status status) {
  if (status != napi_ok) throw NodeApiError{status};
}

// Turns the current exception into a JavaScript exception, if the environment accepts one.
void ThrowCurrentException(napi_env env) noexcept;

// Runs `work`; nullptr if it throws.
template <typename Work>
napi_value Guarded(napi_env env, Work work) noexcept {
  try {
    return work();
  } catch (...) {
    ThrowCurrentException(env);
    return nullptr;
  }
}

// One of this addon's functions, in the form that Node-API calls.
template <Napi::Value (*function)(const Napi::CallbackInfo&)>
napi_value GuardedCallback(napi_env env, napi_callback_info info) noexcept {
  return Guarded(env, [&]() -> napi_value { return function(Napi::CallbackInfo(env, info)); });
}

// Reports an exception of a callback of the loop to Node.js, as an uncaughtException.
void ReportPendingException(napi_env env) noexcept;

}  // namespace overlaybd_nbd
