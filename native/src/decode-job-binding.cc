// Decodes one compressed piece on a thread of Node's pool, for JavaScript. Described in
// daemon/native/block-decoder.ts.
#include <cstring>
#include <memory>
#include <new>

#include "arguments.h"
#include "codec-library.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

using Memory = std::unique_ptr<uint8_t[]>;

// The most that one job decodes.
constexpr uint64_t kMaxLength = uint64_t{1} << 30;

// The memory is the job's own: JavaScript could give away, shrink or detach that of an array while
// the pool reads or writes it.
struct DecodeJob {
  Codec codec;
  bool has_more;
  Memory from;
  size_t from_size;
  Memory to;
  size_t to_size;
  int64_t written = -1;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

// The result is ignored: an environment that is ending refuses, and nothing is left to do then.
void Free(napi_env env, DecodeJob* job) {
  if (job->work != nullptr) napi_delete_async_work(env, job->work);
  delete job;
}

// On a thread of the pool: no call of Node-API.
void Decode(napi_env, void* data) {
  auto* const job = static_cast<DecodeJob*>(data);
  const uint8_t* const from = job->from.get();
  uint8_t* const to = job->to.get();
  if (job->has_more) {
    job->written = DecodeZstdBegin(from, job->from_size, to, job->to_size);
    return;
  }
  const std::unique_ptr<BlockCodec> codec = MakeBlockCodec(job->codec);
  if (codec != nullptr) job->written = codec->Decode(from, job->from_size, to, job->to_size);
}

void FreeMemory(napi_env, void* data, void*) { delete[] static_cast<uint8_t*>(data); }

// A Uint8Array that owns the decoded bytes; null if they are not as many as wanted.
napi_status Result(napi_env env, DecodeJob* job, napi_value* result) {
  if (job->written < 0 || static_cast<size_t>(job->written) != job->to_size) {
    return napi_get_null(env, result);
  }
  napi_value memory;
  const napi_status status = napi_create_external_arraybuffer(env, job->to.get(), job->to_size,
                                                              FreeMemory, nullptr, &memory);
  if (status != napi_ok) return status;
  job->to.release();
  return napi_create_typedarray(env, napi_uint8_array, job->to_size, memory, 0, result);
}

// Every job settles its promise: its caller holds a place of a gate until then. What fails here is
// ignored, because then the environment is ending.
void Reject(napi_env env, napi_deferred deferred) {
  bool is_pending = false;
  napi_value error = nullptr;
  napi_value message = nullptr;
  if (napi_is_exception_pending(env, &is_pending) != napi_ok) return;
  if (is_pending) {
    if (napi_get_and_clear_last_exception(env, &error) != napi_ok) return;
  } else if (napi_create_string_utf8(env, "no memory for a decoded piece", NAPI_AUTO_LENGTH,
                                     &message) != napi_ok ||
             napi_create_error(env, nullptr, message, &error) != napi_ok) {
    return;
  }
  napi_reject_deferred(env, deferred, error);
}

void Ended(napi_env env, napi_status, void* data) {
  auto* const job = static_cast<DecodeJob*>(data);
  napi_value result;
  if (Result(env, job, &result) == napi_ok) {
    napi_resolve_deferred(env, job->deferred, result);
  } else {
    Reject(env, job->deferred);
  }
  Free(env, job);
}

Memory NewMemory(napi_env env, size_t size) {
  Memory memory(new (std::nothrow) uint8_t[size]);
  if (memory == nullptr) throw Napi::Error::New(env, "no memory to decode a piece");
  return memory;
}

Napi::Value DecodeElsewhereCall(const Napi::CallbackInfo& info) {
  const napi_env env = info.Env();
  const auto codec = static_cast<Codec>(IntegerArgument(info, 0, "codec", kCodecCount - 1));
  const Bytes from = BytesArgument(info, 1);
  const size_t length = IntegerArgument(info, 2, "length", kMaxLength, 1);
  const bool has_more = IntegerArgument(info, 3, "hasMore", 1) == 1;
  if (has_more && codec != Codec::kZstd) {
    throw Napi::RangeError::New(env, "hasMore: only for zstd");
  }
  const auto free = [env](DecodeJob* job) { Free(env, job); };
  std::unique_ptr<DecodeJob, decltype(free)> job(new DecodeJob{}, free);
  job->codec = codec;
  job->has_more = has_more;
  job->from = NewMemory(env, from.size);
  job->from_size = from.size;
  if (from.size > 0) memcpy(job->from.get(), from.data, from.size);
  job->to = NewMemory(env, length);
  job->to_size = length;
  napi_value name;
  Check(napi_create_string_utf8(env, "overlaybd-nbd:decode", NAPI_AUTO_LENGTH, &name));
  Check(napi_create_async_work(env, nullptr, name, Decode, Ended, job.get(), &job->work));
  napi_value promise;
  Check(napi_create_promise(env, &job->deferred, &promise));
  Check(napi_queue_async_work(env, job->work));
  // From here on Ended() owns it.
  job.release();
  return Napi::Value(env, promise);
}

}  // namespace

void ExportDecodeJobs(Napi::Object exports) {
  Export<DecodeElsewhereCall>(exports, "decodeElsewhere");
}

}  // namespace overlaybd_nbd
