// Turns C++ exceptions into JavaScript exceptions, or drops them. See guard.h.
#include "guard.h"

#include <cstdio>
#include <exception>
#include <new>

namespace overlaybd_nbd {
namespace {

// The results are ignored: an environment that accepts no exception is ending, or has one already.
void Throw(napi_env env, const char* message) { napi_throw_error(env, nullptr, message); }

void ThrowCurrent(napi_env env) {
  try {
    throw;
  } catch (const Napi::Error& error) {
    napi_throw(env, error.Value());
  } catch (const NodeApiError& error) {
    char message[64];
    snprintf(message, sizeof(message), "addon: a function of Node-API failed, status %d",
             static_cast<int>(error.status));
    Throw(env, message);
  } catch (const std::bad_alloc&) {
    Throw(env, "addon: out of memory");
  } catch (const std::exception& error) {
    Throw(env, error.what());
  }
}

}  // namespace

void ThrowCurrentException(napi_env env) noexcept {
  try {
    ThrowCurrent(env);
  } catch (...) {
    Throw(env, "addon: an exception of unknown type");
  }
}

void ReportPendingException(napi_env env) noexcept {
  bool pending = false;
  napi_value error;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

}  // namespace overlaybd_nbd
