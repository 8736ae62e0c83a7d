// Decodes one compressed piece on a thread of Node's pool, for JavaScript. Described in
// daemon/native/block-decoder.ts.
#include <memory>

#include "arguments.h"
#include "codec-library.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

// The references keep the memory of both arrays until the job has ended, also in an environment
// that is ending: Node waits for jobs of its pool.
struct DecodeJob {
  Codec codec;
  bool has_more;
  Bytes from;
  Bytes to;
  int64_t written = -1;
  napi_ref from_ref = nullptr;
  napi_ref to_ref = nullptr;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

// The results are ignored: an environment that is ending refuses, and nothing is left to do then.
void Free(napi_env env, DecodeJob* job) {
  if (job->from_ref != nullptr) napi_delete_reference(env, job->from_ref);
  if (job->to_ref != nullptr) napi_delete_reference(env, job->to_ref);
  if (job->work != nullptr) napi_delete_async_work(env, job->work);
  delete job;
}

// On a thread of the pool: no call of Node-API.
void Decode(napi_env, void* data) {
  auto* const job = static_cast<DecodeJob*>(data);
  const Bytes from = job->from;
  const Bytes to = job->to;
  if (job->has_more) {
    job->written = DecodeZstdBegin(from.data, from.size, to.data, to.size);
    return;
  }
  const std::unique_ptr<BlockCodec> codec = MakeBlockCodec(job->codec);
  if (codec != nullptr) job->written = codec->Decode(from.data, from.size, to.data, to.size);
}

void Ended(napi_env env, napi_status, void* data) {
  auto* const job = static_cast<DecodeJob*>(data);
  napi_value written;
  if (napi_create_int64(env, job->written, &written) == napi_ok) {
    napi_resolve_deferred(env, job->deferred, written);
  }
  Free(env, job);
}

Napi::Value DecodeElsewhereCall(const Napi::CallbackInfo& info) {
  const napi_env env = info.Env();
  const auto codec = static_cast<Codec>(IntegerArgument(info, 0, "codec", kCodecCount - 1));
  const bool has_more = IntegerArgument(info, 3, "hasMore", 1) == 1;
  if (has_more && codec != Codec::kZstd) {
    throw Napi::RangeError::New(env, "hasMore: only for zstd");
  }
  const auto free = [env](DecodeJob* job) { Free(env, job); };
  std::unique_ptr<DecodeJob, decltype(free)> job(new DecodeJob{}, free);
  job->codec = codec;
  job->has_more = has_more;
  job->from = BytesArgument(info, 1);
  job->to = BytesArgument(info, 2);
  Check(napi_create_reference(env, info[1], 1, &job->from_ref));
  Check(napi_create_reference(env, info[2], 1, &job->to_ref));
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
