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
#include <iterator>
#include <memory>
#include <unordered_set>

#include "arguments.h"
#include "exports.h"
#include "loop-events.h"
#include "loop-spin.h"

namespace overlaybd_nbd {
namespace {

constexpr int kReadable = UV_READABLE;
constexpr int kWritable = UV_WRITABLE;
constexpr uint64_t kMaxSpinMicroseconds = 1000;
constexpr uint64_t kAllEvents = UV_READABLE | UV_WRITABLE;
constexpr napi_type_tag kPollTag = {0x6f7665726c617962, 0x642d6e62642e7031};

class Poll;

// The state of one environment: everything that must be closed before its loop ends.
class PollSet {
 public:
  explicit PollSet(uv_loop_t* loop) : loop_(loop), spin_(loop) {}

  uv_loop_t* Loop() const { return loop_; }
  LoopSpin* Spin() { return &spin_; }
  void Opened(Poll* poll) { open_.insert(poll); }
  void NotOpened(Poll* poll) { open_.erase(poll); }

  void Closing(Poll* poll) {
    open_.erase(poll);
    ++closing_;
  }

  void Closed() {
    --closing_;
    FinishTeardown();
  }

  // A cleanup hook that Node.js waits for: it runs the loop until the hook is removed, and the
  // environment (with this object) outlives that.
  static void Teardown(napi_async_cleanup_hook_handle hook, void* data);

 private:
  void FinishTeardown() {
    if (hook_ == nullptr || closing_ > 0) return;
    napi_remove_async_cleanup_hook(hook_);
    hook_ = nullptr;
  }

  uv_loop_t* const loop_;
  LoopSpin spin_;
  std::unordered_set<Poll*> open_;
  size_t closing_ = 0;
  napi_async_cleanup_hook_handle hook_ = nullptr;
};

struct Watch {
  uv_poll_t handle;
  PollSet* set;
  Poll* poll;  // valid until the handle is being closed, after which there are no more events
};

// The context for Node's hooks and domains of calls that come from the loop.
class CallContext {
 public:
  explicit CallContext(napi_env env) : env_(env) {
    napi_value name;
    Check(napi_create_string_utf8(env, "overlaybd-nbd.Poll", NAPI_AUTO_LENGTH, &name));
    Check(napi_async_init(env, nullptr, name, &context_));
  }
  ~CallContext() { napi_async_destroy(env_, context_); }
  CallContext(const CallContext&) = delete;
  CallContext& operator=(const CallContext&) = delete;

  napi_async_context Get() const { return context_; }

 private:
  const napi_env env_;
  napi_async_context context_;
};

// All of it uses the C interface, because most of it runs in callbacks of the loop and while
// environments end, where C++ exceptions cannot be caught.
class Poll final : public SpinSource {
 public:
  explicit Poll(napi_env env) : env_(env) {}
  ~Poll();
  Poll(const Poll&) = delete;
  Poll& operator=(const Poll&) = delete;

  static napi_value Define(napi_env env, PollSet* set);
  void CloseHandle();
  int InputDescriptor() const override { return events_ == kReadable ? fd_ : -1; }
  void OnInput() override { Handle(kReadable); }

 private:
  using Method = int (Poll::*)(const Napi::CallbackInfo&);

  static Napi::Value New(const Napi::CallbackInfo& info);
  static Poll* Unwrap(const Napi::CallbackInfo& info);
  template <Method method>
  static Napi::Value MethodCall(const Napi::CallbackInfo& info) {
    return ToNumber(info, (Unwrap(info)->*method)(info));
  }

  void Open(const Napi::CallbackInfo& info);
  int Start(const Napi::CallbackInfo& info);
  int Stop(const Napi::CallbackInfo& info);
  int Close(const Napi::CallbackInfo& info);

  static void OnEvents(uv_poll_t* handle, int status, int events);
  void Handle(int events);
  void Call(int events);
  void StopHandle();

  const napi_env env_;
  napi_ref self_ = nullptr;
  Watch* watch_ = nullptr;
  int fd_ = -1;
  int events_ = 0;  // 0 while stopped
  napi_ref callback_ = nullptr;
  std::shared_ptr<CallContext> context_;
};

void PollSet::Teardown(napi_async_cleanup_hook_handle hook, void* data) {
  auto* const set = static_cast<PollSet*>(data);
  set->hook_ = hook;
  while (!set->open_.empty()) (*set->open_.begin())->CloseHandle();
  if (set->spin_.IsOpen()) {
    ++set->closing_;
    set->spin_.Close([](void* closed) { static_cast<PollSet*>(closed)->Closed(); }, set);
  }
  set->FinishTeardown();
}

Poll::~Poll() {
  CloseHandle();
  if (callback_ != nullptr) napi_delete_reference(env_, callback_);
  if (self_ != nullptr) napi_delete_reference(env_, self_);
}

napi_value Poll::Define(napi_env env, PollSet* set) {
  const auto method = [](const char* name, napi_callback callback) {
    return napi_property_descriptor{name,    nullptr, callback,     nullptr,
                                    nullptr, nullptr, napi_default, nullptr};
  };
  const napi_property_descriptor methods[] = {
      method("start", GuardedCallback<MethodCall<&Poll::Start>>),
      method("stop", GuardedCallback<MethodCall<&Poll::Stop>>),
      method("close", GuardedCallback<MethodCall<&Poll::Close>>),
  };
  napi_value made;
  Check(napi_define_class(env, "Poll", NAPI_AUTO_LENGTH, GuardedCallback<Poll::New>, set,
                          std::size(methods), methods, &made));
  return made;
}

Napi::Value Poll::New(const Napi::CallbackInfo& info) {
  const napi_env env = info.Env();
  if (!info.IsConstructCall()) throw Napi::TypeError::New(env, "Poll: is made with new");
  auto poll = std::make_unique<Poll>(env);
  const napi_finalize finalize = [](napi_env, void* data, void*) {
    delete static_cast<Poll*>(data);
  };
  Check(napi_type_tag_object(env, info.This(), &kPollTag));
  Check(napi_wrap(env, info.This(), poll.get(), finalize, nullptr, &poll->self_));
  // From here on JavaScript owns it, even if a later call fails.
  poll.release()->Open(info);
  return info.This();
}

Poll* Poll::Unwrap(const Napi::CallbackInfo& info) {
  bool is_poll = false;
  void* poll = nullptr;
  if (napi_check_object_type_tag(info.Env(), info.This(), &kPollTag, &is_poll) != napi_ok ||
      !is_poll || napi_unwrap(info.Env(), info.This(), &poll) != napi_ok) {
    throw Napi::TypeError::New(info.Env(), "this: must be a Poll");
  }
  return static_cast<Poll*>(poll);
}

void Poll::Open(const Napi::CallbackInfo& info) {
  fd_ = DescriptorArgument(info);
  if (!info[1].IsFunction()) {
    throw Napi::TypeError::New(info.Env(), "callback: must be a function");
  }
  // Everything that may throw happens before libuv knows the handle: afterwards it can only be
  // closed.
  Check(napi_create_reference(env_, info[1], 1, &callback_));
  context_ = std::make_shared<CallContext>(env_);
  auto* const set = static_cast<PollSet*>(info.Data());
  auto watch = std::make_unique<Watch>();
  set->Opened(this);
  const int result = uv_poll_init(set->Loop(), &watch->handle, fd_);
  if (result < 0) {
    set->NotOpened(this);
    char subject[32];
    snprintf(subject, sizeof(subject), "poll: fd %d", fd_);
    throw SystemError(info.Env(), subject, result);
  }
  watch->handle.data = watch.get();
  watch->set = set;
  watch->poll = this;
  watch_ = watch.release();
}

void Poll::CloseHandle() {
  if (watch_ == nullptr) return;
  StopHandle();
  napi_delete_reference(env_, callback_);
  callback_ = nullptr;
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
  watch_->set->Spin()->Forget(this);
  uv_poll_stop(&watch_->handle);
  events_ = 0;
  napi_reference_unref(env_, self_, nullptr);
}

int Poll::Start(const Napi::CallbackInfo& info) {
  const int events = static_cast<int>(IntegerArgument(info, 0, "events", kAllEvents, 1));
  // libuv aborts the process if it cannot add a descriptor to its epoll set.
  if (watch_ == nullptr || ::fcntl(fd_, F_GETFD) < 0) return -EBADF;
  if (events_ == 0) Check(napi_reference_ref(env_, self_, nullptr));
  const int result = uv_poll_start(&watch_->handle, events, OnEvents);
  if (result < 0) {
    if (events_ == 0) napi_reference_unref(env_, self_, nullptr);
    return result;
  }
  if (events != events_) watch_->set->Spin()->Forget(this);
  events_ = events;
  return 0;
}

int Poll::Stop(const Napi::CallbackInfo&) {
  StopHandle();
  return 0;
}

int Poll::Close(const Napi::CallbackInfo&) {
  CloseHandle();
  return 0;
}

void Poll::OnEvents(uv_poll_t* handle, int status, int events) {
  const auto* const watch = static_cast<Watch*>(handle->data);
  Poll* const poll = watch->poll;
  if (status < 0) {
    // libuv has stopped the handle because of an error on the socket. Data may still be queued
    // before the error, so events go on until the reader has seen it and stops the Poll.
    uv_poll_start(handle, poll->events_, OnEvents);
  }
  if (status < 0 || events == 0) events = kReadable | kWritable;
  poll->Handle(events);
}

void Poll::Handle(int events) {
  const napi_env env = env_;
  watch_->set->Spin()->NoteEvent(this);
  napi_handle_scope scope;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  Call(events);
  napi_close_handle_scope(env, scope);
}

// An exception must become an uncaughtException, and a worker that is being terminated must not
// turn a refused call into a fatal error.
void Poll::Call(int events) {
  const napi_env env = env_;
  napi_value receiver;
  napi_value function;
  napi_value argument;
  if (napi_get_reference_value(env, self_, &receiver) != napi_ok ||
      napi_get_reference_value(env, callback_, &function) != napi_ok ||
      napi_create_int32(env, events, &argument) != napi_ok) {
    return;
  }
  // The callback may close this Poll, so the context must last until the call has ended.
  const std::shared_ptr<CallContext> context = context_;
  if (napi_make_callback(env, context->Get(), receiver, function, 1, &argument, nullptr) !=
      napi_ok) {
    ReportPendingException(env);
  }
}

// How long the loop looks for events before it sleeps; see loop-spin.h.
Napi::Value SpinCall(const Napi::CallbackInfo& info) {
  auto* const set = static_cast<PollSet*>(info.Data());
  const uint64_t microseconds = IntegerArgument(info, 0, "microseconds", kMaxSpinMicroseconds);
  return ToNumber(info, set->Spin()->Limit(microseconds * 1000));
}

Napi::Value SkipSpinCall(const Napi::CallbackInfo& info) {
  static_cast<PollSet*>(info.Data())->Spin()->Skip();
  return ToNumber(info, 0);
}

Napi::Value SpinCountsCall(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const SpinCounts& counts = static_cast<PollSet*>(info.Data())->Spin()->Counts();
  const Napi::Object result = Napi::Object::New(env);
  result.Set("looks", Napi::Number::New(env, static_cast<double>(counts.looks)));
  result.Set("found", Napi::Number::New(env, static_cast<double>(counts.found)));
  result.Set("nanoseconds", Napi::Number::New(env, static_cast<double>(counts.nanoseconds)));
  return result;
}

}  // namespace

void NoteLoopEvent(napi_env env) {
  void* set = nullptr;
  if (napi_get_instance_data(env, &set) != napi_ok || set == nullptr) return;
  static_cast<PollSet*>(set)->Spin()->NoteEvent();
}

void ExportPoll(Napi::Object exports) {
  const napi_env env = exports.Env();
  uv_loop_t* loop = nullptr;
  Check(napi_get_uv_event_loop(env, &loop));
  auto owned = std::make_unique<PollSet>(loop);
  const napi_finalize free = [](napi_env, void* set, void*) { delete static_cast<PollSet*>(set); };
  Check(napi_set_instance_data(env, owned.get(), free, nullptr));
  // From here on the environment owns it, even if a later call fails.
  PollSet* const set = owned.release();
  Check(napi_add_async_cleanup_hook(env, PollSet::Teardown, set, nullptr));
  Check(napi_set_named_property(env, exports, "Poll", Poll::Define(env, set)));
  Export<SpinCall>(exports, "spin", set);
  Export<SkipSpinCall>(exports, "skipSpin", set);
  Export<SpinCountsCall>(exports, "spinCounts", set);
}

}  // namespace overlaybd_nbd
