// file-pool.h for JavaScript. Described in daemon/native/file.ts.
//
// Ownership: a FileJobPort belongs to its environment, and the cleanup hook deletes it. Jobs have a
// Mailbox, which outlives both: it drops results for an environment that has ended.
#include <napi.h>
#include <uv.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "arguments.h"
#include "exports.h"
#include "file-job-port.h"
#include "file-pool.h"
#include "guard.h"
#include "loop-events.h"

namespace overlaybd_nbd {
namespace {

constexpr uint64_t kMaxDeadlineMs = 24 * 3600 * 1000;
// For all environments. The main thread sets it before it opens a file.
std::atomic<uint32_t> deadline{8000};

// Threads put the results of jobs of one environment here.
class Mailbox : public FileJobClient {
 public:
  bool Ended(std::unique_ptr<FileJobEnd> end) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (async_ == nullptr) return false;
    ends_.push_back(std::move(end));
    uv_async_send(async_);
    return true;
  }

  void Open(uv_async_t* async) { async_ = async; }

  // From here on no thread reads the mailbox.
  std::vector<std::unique_ptr<FileJobEnd>> Close() {
    const std::lock_guard<std::mutex> lock(mutex_);
    async_ = nullptr;
    return std::move(ends_);
  }

  std::vector<std::unique_ptr<FileJobEnd>> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::move(ends_);
  }

 private:
  std::mutex mutex_;
  uv_async_t* async_ = nullptr;
  std::vector<std::unique_ptr<FileJobEnd>> ends_;
};

// Closes a file that was opened for an environment that has ended.
void Drop(const FileJobEnd& end) {
  if (!end.outcome.identity.empty()) CloseFile(static_cast<int>(end.outcome.result));
}

class FileJobPort {
 public:
  FileJobPort(napi_env env, uv_loop_t* loop) : env_(env), loop_(loop) {}

  // 0, or -errno. Called once for each environment.
  int Listen(Napi::Function done);
  int Start(uint64_t id, FileJobRequest request);
  void Close(int fd);

  static void Teardown(napi_async_cleanup_hook_handle hook, void* data);

 private:
  static void OnEnds(uv_async_t* async);
  void TakeEnds();
  bool Tell(const FileJobEnd& end, napi_value receiver, napi_value function);

  const napi_env env_;
  uv_loop_t* const loop_;
  uv_async_t* async_ = nullptr;
  std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  napi_ref done_ = nullptr;
  napi_async_context context_ = nullptr;
  size_t pending_ = 0;
  // Descriptors that are closed with the environment, and with them their locks.
  std::set<int> own_;
};

int FileJobPort::Listen(Napi::Function done) {
  if (async_ != nullptr) return -EALREADY;
  auto async = std::make_unique<uv_async_t>();
  const int result = uv_async_init(loop_, async.get(), OnEnds);
  if (result < 0) return result;
  async_ = async.release();
  async_->data = this;
  // Only jobs keep the loop alive.
  uv_unref(reinterpret_cast<uv_handle_t*>(async_));
  mailbox_->Open(async_);
  napi_value name;
  Check(napi_create_string_utf8(env_, "overlaybd-nbd.fileJobs", NAPI_AUTO_LENGTH, &name));
  Check(napi_async_init(env_, nullptr, name, &context_));
  Check(napi_create_reference(env_, done, 1, &done_));
  return 0;
}

int FileJobPort::Start(uint64_t id, FileJobRequest request) {
  if (async_ == nullptr) return -ENOTCONN;
  const int result = StartFileJob(mailbox_, id, std::move(request), deadline);
  if (result == 0 && pending_++ == 0) uv_ref(reinterpret_cast<uv_handle_t*>(async_));
  return result;
}

void FileJobPort::Close(int fd) {
  own_.erase(fd);
  CloseFile(fd);
}

void FileJobPort::OnEnds(uv_async_t* async) {
  auto* const port = static_cast<FileJobPort*>(async->data);
  NoteLoopEvent(port->env_);
  napi_handle_scope scope;
  if (napi_open_handle_scope(port->env_, &scope) != napi_ok) return;
  port->TakeEnds();
  napi_close_handle_scope(port->env_, scope);
}

// Tells JavaScript of all jobs that have ended, in one scope: it continues with what it is told
// only when the scope is closed. So reads that have ended together are answered together, and it is
// certain by then who must close a descriptor, even if the environment ends meanwhile. Uses the C
// interface, like everything that the loop calls.
void FileJobPort::TakeEnds() {
  napi_value receiver;
  napi_value function;
  napi_callback_scope turn = nullptr;
  const bool opened = napi_get_global(env_, &receiver) == napi_ok &&
                      napi_get_reference_value(env_, done_, &function) == napi_ok &&
                      napi_open_callback_scope(env_, receiver, context_, &turn) == napi_ok;
  for (const auto& end : mailbox_->Take()) {
    if (--pending_ == 0) uv_unref(reinterpret_cast<uv_handle_t*>(async_));
    const bool is_own = end->outcome.ends_with_client && end->outcome.result >= 0;
    if (is_own) own_.insert(static_cast<int>(end->outcome.result));
    if (opened && Tell(*end, receiver, function)) continue;
    if (is_own) own_.erase(static_cast<int>(end->outcome.result));
    Drop(*end);
  }
  if (opened && napi_close_callback_scope(env_, turn) == napi_pending_exception) {
    ReportPendingException(env_);
  }
}

// @returns false if the callback was not called because the environment is ending
bool FileJobPort::Tell(const FileJobEnd& end, napi_value receiver, napi_value function) {
  const FileJobOutcome& outcome = end.outcome;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return false;
  napi_value arguments[4];
  bool made =
      napi_create_double(env_, static_cast<double>(end.id), &arguments[0]) == napi_ok &&
      napi_create_double(env_, static_cast<double>(outcome.result), &arguments[1]) == napi_ok;
  // Reads have neither, and each that waits for a disk comes by.
  const size_t count = outcome.values.size();
  const bool has_more = count > 0 || !outcome.identity.empty();
  if (made && has_more) {
    void* data = nullptr;
    napi_value buffer;
    made = napi_create_arraybuffer(env_, count * sizeof(double), &data, &buffer) == napi_ok &&
           napi_create_typedarray(env_, napi_float64_array, count, buffer, 0, &arguments[2]) ==
               napi_ok &&
           napi_create_string_utf8(env_, outcome.identity.data(), outcome.identity.size(),
                                   &arguments[3]) == napi_ok;
    if (made && count > 0) memcpy(data, outcome.values.data(), count * sizeof(double));
  }
  bool is_told = false;
  if (made) {
    const napi_status status =
        napi_call_function(env_, receiver, function, has_more ? 4 : 2, arguments, nullptr);
    is_told = status == napi_ok;
    if (status == napi_pending_exception) ReportPendingException(env_);
  }
  napi_close_handle_scope(env_, scope);
  return is_told;
}

// Node runs the loop until the hook has been removed.
void FileJobPort::Teardown(napi_async_cleanup_hook_handle hook, void* data) {
  auto* const port = static_cast<FileJobPort*>(data);
  for (const auto& end : port->mailbox_->Close()) Drop(*end);
  for (const int fd : port->own_) CloseFile(fd);
  if (port->context_ != nullptr) napi_async_destroy(port->env_, port->context_);
  if (port->done_ != nullptr) napi_delete_reference(port->env_, port->done_);
  if (port->async_ == nullptr) {
    napi_remove_async_cleanup_hook(hook);
    delete port;
    return;
  }
  port->async_->data = hook;
  uv_close(reinterpret_cast<uv_handle_t*>(port->async_), [](uv_handle_t* handle) {
    auto* const closed = reinterpret_cast<uv_async_t*>(handle);
    napi_remove_async_cleanup_hook(static_cast<napi_async_cleanup_hook_handle>(closed->data));
    delete closed;
  });
  delete port;
}

FileJobPort* PortOf(const Napi::CallbackInfo& info) {
  return static_cast<FileJobPort*>(info.Data());
}

uint64_t IdArgument(const Napi::CallbackInfo& info) {
  return IntegerArgument(info, 0, "job", kMaxSafeInteger);
}

Napi::Value FileDeadlineCall(const Napi::CallbackInfo& info) {
  if (!info[0].IsUndefined()) {
    deadline = static_cast<uint32_t>(IntegerArgument(info, 0, "milliseconds", kMaxDeadlineMs, 1));
  }
  return ToNumber(info, deadline);
}

Napi::Value FileJobsCall(const Napi::CallbackInfo& info) {
  if (!info[0].IsFunction()) {
    throw Napi::TypeError::New(info.Env(), "ended: must be a function");
  }
  return ToNumber(info, PortOf(info)->Listen(info[0].As<Napi::Function>()));
}

template <FileJobKind kind>
Napi::Value PathJobCall(const Napi::CallbackInfo& info) {
  std::vector<char> path(PATH_MAX);
  const uint64_t id = IdArgument(info);
  const size_t length = StringArgument(info, 1, "path", path.data(), path.size());
  if (length == 0) return ToNumber(info, -ENOENT);
  if (length >= path.size()) return ToNumber(info, -ENAMETOOLONG);
  FileJobRequest request;
  request.kind = kind;
  request.path.assign(path.data(), length);
  return ToNumber(info, PortOf(info)->Start(id, std::move(request)));
}

template <FileJobKind kind>
Napi::Value RangeJobCall(const Napi::CallbackInfo& info) {
  FileJobRequest request;
  request.kind = kind;
  const uint64_t id = IdArgument(info);
  request.fd = DescriptorArgument(info, 1);
  request.position = PositionArgument(info, 2);
  request.length = IntegerArgument(info, 3, "length", kMaxSafeInteger, 1);
  if (kind == FileJobKind::kExtents) {
    request.file_end = IntegerArgument(info, 4, "fileEnd", kMaxSafeInteger);
  }
  return ToNumber(info, PortOf(info)->Start(id, std::move(request)));
}

Napi::Value CloseFileCall(const Napi::CallbackInfo& info) {
  PortOf(info)->Close(DescriptorArgument(info));
  return ToNumber(info, 0);
}

Napi::Value StuckFileJobsCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const std::vector<StuckFileJob> stuck = StuckFileJobs();
  const Napi::Array list = Napi::Array::New(env, stuck.size());
  for (size_t i = 0; i < stuck.size(); ++i) {
    const StuckFileJob& job = stuck[i];
    const Napi::Object each = Napi::Object::New(env);
    each.Set("path", Napi::String::New(env, job.path));
    each.Set("kind", Napi::Number::New(env, static_cast<int>(job.kind)));
    each.Set("position", Napi::Number::New(env, static_cast<double>(job.position)));
    each.Set("length", Napi::Number::New(env, static_cast<double>(job.length)));
    each.Set("seconds", Napi::Number::New(env, job.seconds));
    list.Set(static_cast<uint32_t>(i), each);
  }
  return list;
}

}  // namespace

int StartJobOf(const Napi::CallbackInfo& info, uint64_t id, FileJobRequest request) {
  return PortOf(info)->Start(id, std::move(request));
}

void* ExportFileJobs(Napi::Object exports) {
  const napi_env env = exports.Env();
  uv_loop_t* loop = nullptr;
  Check(napi_get_uv_event_loop(env, &loop));
  auto port = std::make_unique<FileJobPort>(env, loop);
  Check(napi_add_async_cleanup_hook(env, FileJobPort::Teardown, port.get(), nullptr));
  FileJobPort* const owned = port.release();
  Export<FileJobsCall>(exports, "onJobEnd", owned);
  Export<FileDeadlineCall>(exports, "deadline");
  Export<PathJobCall<FileJobKind::kOpen>>(exports, "startOpen", owned);
  Export<PathJobCall<FileJobKind::kExists>>(exports, "startExists", owned);
  Export<RangeJobCall<FileJobKind::kLoad>>(exports, "startLoad", owned);
  Export<RangeJobCall<FileJobKind::kPrefetch>>(exports, "startPrefetch", owned);
  Export<RangeJobCall<FileJobKind::kExtents>>(exports, "startExtents", owned);
  Export<CloseFileCall>(exports, "close", owned);
  Export<StuckFileJobsCall>(exports, "stuckJobs");
  return owned;
}

}  // namespace overlaybd_nbd
