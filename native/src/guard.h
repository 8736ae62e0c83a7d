// The border between C and our C++: a caller in C never gets an exception, in whatever state
// the environment is. One that is being ended takes no JavaScript exception any more, and lets
// every function fail that would run some: then no report can be made, and nothing is left to do.
#pragma once

#include <napi.h>

namespace overlaybd_nbd {

// A function of Node-API that failed. It may have left a JavaScript exception, which then counts.
struct NodeApiError {
  napi_status status;
};

// Instead of node-addon-api's own checks where an environment may be ending: what those do with the
// exception of an ending environment can end the process.
inline void Check(napi_status status) {
  if (status != napi_ok) throw NodeApiError{status};
}

// Makes the exception that is being handled one of JavaScript, if the environment takes one.
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

// A function of ours as Node-API calls it.
template <Napi::Value (*function)(const Napi::CallbackInfo&)>
napi_value GuardedCallback(napi_env env, napi_callback_info info) noexcept {
  return Guarded(env, [&]() -> napi_value { return function(Napi::CallbackInfo(env, info)); });
}

// Tells Node of what a callback of the loop has thrown, as an uncaughtException.
void ReportPendingException(napi_env env) noexcept;

}  // namespace overlaybd_nbd
