// class Poll for JavaScript: uv_poll on the environment's loop. Never reads, never closes the fd.
//
// Ownership: libuv needs the handle until its close callback, which may come after the JavaScript
// object has gone, so the handle is a Watch on the heap that frees itself there. The Poll has a
// pointer to its Watch exactly as long as it is open. While it is started it also holds a
// reference to its own JavaScript object, so that it is not collected under the loop.
#include <fcntl.h>
#include <napi.h>
#include <uv.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <unordered_set>

#include "arguments.h"
#include "exports.h"

namespace overlaybd_nbd {
namespace {

constexpr int kReadable = UV_READABLE;
constexpr int kWritable = UV_WRITABLE;
constexpr uint64_t kAllEvents = UV_READABLE | UV_WRITABLE | UV_DISCONNECT;
constexpr napi_type_tag kPollTag = {0x6f7665726c617962, 0x642d6e62642e7031};

class Poll;

// The state of one environment: what must be closed before its loop is.
class PollSet {
 public:
  explicit PollSet(uv_loop_t* loop) : loop_(loop) {}

  uv_loop_t* Loop() const { return loop_; }
  void Opened(Poll* poll) { open_.insert(poll); }

  void Closing(Poll* poll) {
    open_.erase(poll);
    ++closing_;
  }

  void Closed() {
    --closing_;
    FinishTeardown();
  }

  // A cleanup hook that Node waits for: it runs the loop until the hook has been removed, and the
  // environment (with this object) outlives that.
  static void Teardown(napi_async_cleanup_hook_handle hook, void* data);

 private:
  void FinishTeardown() {
    if (hook_ == nullptr || closing_ > 0) return;
    napi_remove_async_cleanup_hook(hook_);
    hook_ = nullptr;
  }

  uv_loop_t* const loop_;
  std::unordered_set<Poll*> open_;
  size_t closing_ = 0;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

struct Watch {
  uv_poll_t handle;
  PollSet* set;
  Poll* poll;  // valid until the handle is being closed, after which there are no more events
};

class Poll : public Napi::ObjectWrap<Poll> {
 public:
  explicit Poll(const Napi::CallbackInfo& info);
  ~Poll() override { CloseHandle(); }

  static Napi::Function Define(Napi::Env env, PollSet* set) {
    return DefineClass(env, "Poll",
                       {InstanceMethod<&Poll::Start>("start"), InstanceMethod<&Poll::Stop>("stop"),
                        InstanceMethod<&Poll::Close>("close")},
                       set);
  }

  // Found by node-addon-api instead of its own Unwrap, which would trust any wrapped object.
  static Poll* Unwrap(Napi::Object object) {
    if (!object.CheckTypeTag(&kPollTag)) {
      throw Napi::TypeError::New(object.Env(), "this: must be a Poll");
    }
    return Napi::ObjectWrap<Poll>::Unwrap(object);
  }

  void CloseHandle();

 private:
  Napi::Value Start(const Napi::CallbackInfo& info);
  Napi::Value Stop(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  static void OnEvents(uv_poll_t* handle, int status, int events);
  void Call(int events);
  void StopHandle();

  Watch* watch_ = nullptr;
  int fd_ = -1;
  int events_ = 0;  // 0 while stopped
  Napi::FunctionReference callback_;
  std::shared_ptr<Napi::AsyncContext> context_;
};

void PollSet::Teardown(napi_async_cleanup_hook_handle hook, void* data) {
  auto* const set = static_cast<PollSet*>(data);
  set->hook_ = hook;
  while (!set->open_.empty()) (*set->open_.begin())->CloseHandle();
  set->FinishTeardown();
}

Poll::Poll(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Poll>(info) {
  fd_ = DescriptorArgument(info);
  if (!info[1].IsFunction()) {
    throw Napi::TypeError::New(info.Env(), "callback: must be a function");
  }
  // What may throw comes before libuv knows the handle: after that it can only be closed.
  info.This().As<Napi::Object>().TypeTag(&kPollTag);
  callback_ = Napi::Persistent(info[1].As<Napi::Function>());
  context_ = std::make_shared<Napi::AsyncContext>(info.Env(), "overlaybd-nbd.Poll");
  auto* const set = static_cast<PollSet*>(info.Data());
  auto watch = std::make_unique<Watch>();
  const int result = uv_poll_init(set->Loop(), &watch->handle, fd_);
  if (result < 0) {
    char subject[32];
    snprintf(subject, sizeof(subject), "poll: fd %d", fd_);
    throw SystemError(info.Env(), subject, result);
  }
  watch->handle.data = watch.get();
  watch->set = set;
  watch->poll = this;
  watch_ = watch.release();
  set->Opened(this);
}

void Poll::CloseHandle() {
  if (watch_ == nullptr) return;
  StopHandle();
  callback_.Reset();
  context_.reset();
  watch_->poll = nullptr;
  watch_->set->Closing(this);
  uv_close(reinterpret_cast<uv_handle_t*>(&watch_->handle), [](uv_handle_t* handle) {
    auto* const watch = static_cast<Watch*>(handle->data);
    PollSet* const set = watch->set;
    delete watch;
    set->Closed();
  });
  watch_ = nullptr;
}

void Poll::StopHandle() {
  if (events_ == 0) return;
  uv_poll_stop(&watch_->handle);
  events_ = 0;
  Unref();
}

Napi::Value Poll::Start(const Napi::CallbackInfo& info) {
  const int events = static_cast<int>(IntegerArgument(info, 0, "events", kAllEvents, 1));
  // libuv aborts the process when it cannot add a descriptor to its epoll set.
  if (watch_ == nullptr || ::fcntl(fd_, F_GETFD) < 0) return ToNumber(info, -EBADF);
  const int result = uv_poll_start(&watch_->handle, events, OnEvents);
  if (result < 0) return ToNumber(info, result);
  if (events_ == 0) Ref();
  events_ = events;
  return ToNumber(info, 0);
}

Napi::Value Poll::Stop(const Napi::CallbackInfo& info) {
  StopHandle();
  return ToNumber(info, 0);
}

Napi::Value Poll::Close(const Napi::CallbackInfo& info) {
  CloseHandle();
  return ToNumber(info, 0);
}

void Poll::OnEvents(uv_poll_t* handle, int status, int events) {
  Poll* const poll = static_cast<Watch*>(handle->data)->poll;
  if (status < 0) {
    // libuv has stopped the handle because of an error on the socket. Data may still be queued
    // before the error, so it goes on until the one who reads has seen it and stops.
    uv_poll_start(handle, poll->events_, OnEvents);
  }
  if (status < 0 || events == 0) events = kReadable | kWritable;
  poll->Call(events);
}

// Through the C interface: an exception must become an uncaughtException, and a worker that is
// being terminated must not turn a refused call into a fatal error.
void Poll::Call(int events) {
  const napi_env env = Env();
  Napi::HandleScope scope(env);
  const napi_value receiver = Value();
  const napi_value function = callback_.Value();
  napi_value argument;
  if (napi_create_int32(env, events, &argument) != napi_ok) return;
  // The callback may close this Poll; the context has to last until the call is over.
  const std::shared_ptr<Napi::AsyncContext> context = context_;
  const napi_status status =
      napi_make_callback(env, *context, receiver, function, 1, &argument, nullptr);
  if (status != napi_pending_exception) return;
  napi_value error;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
}

}  // namespace

void ExportPoll(Napi::Object exports) {
  const Napi::Env env = exports.Env();
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) throw Napi::Error::New(env, "poll: no loop");
  auto* const set = new PollSet(loop);
  env.SetInstanceData(set);
  if (napi_add_async_cleanup_hook(env, PollSet::Teardown, set, nullptr) != napi_ok) {
    throw Napi::Error::New(env, "poll: no cleanup hook");
  }
  exports.Set("Poll", Poll::Define(env, set));
}

}  // namespace overlaybd_nbd
