// nbd-ioctl.h for JavaScript. Described in daemon/native/nbd-ioctl.ts.
//
// Ownership: an IoctlThread lives as long as its thread-safe function, whose finalizer deletes it.
// The environment's cleanup hook is added after that function, so it runs before the function is
// torn down, and the thread has been joined by then.
#include <fcntl.h>
#include <napi.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <exception>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "arguments.h"
#include "exports.h"
#include "nbd-ioctl.h"

namespace overlaybd_nbd {
namespace {

// The node of a block device; the kernel's own limit for any path.
constexpr size_t kPathSize = PATH_MAX;
constexpr uint64_t kMaxSeconds = INT32_MAX;

class IoctlThread {
 public:
  explicit IoctlThread(napi_env env) : env_(env) {}
  ~IoctlThread() { LetGo(); }

  // 0 when the device is connected; or -errno, and everything is undone.
  int Start(const std::string& path, NbdIoctlSettings settings, napi_value ended);

 private:
  int StartThread(const std::string& path, const NbdIoctlSettings& settings);
  int Hold(const NbdIoctlSettings& settings);
  void LetGo();
  void Work(const std::string& path, const NbdIoctlSettings& settings, std::promise<int>* opened);
  static void Ended(napi_env env, napi_value function, void* context, void*);
  static void Teardown(void* data);

  const napi_env env_;
  napi_threadsafe_function function_ = nullptr;
  std::thread thread_;
  // Copies of the connections: shutting them down ends the device, even if the kernel is waiting.
  std::vector<int> held_;
  int result_ = 0;
  bool torn_down_ = false;
};

int IoctlThread::Hold(const NbdIoctlSettings& settings) {
  for (size_t i = 0; i < settings.socket_count; ++i) {
    const int copy = ::fcntl(settings.sockets[i], F_DUPFD_CLOEXEC, 0);
    if (copy < 0) return -errno;
    held_.push_back(copy);
  }
  return 0;
}

void IoctlThread::LetGo() {
  for (const int fd : held_) ::close(fd);
  held_.clear();
}

int IoctlThread::Start(const std::string& path, NbdIoctlSettings settings, napi_value ended) {
  held_.reserve(settings.socket_count);
  napi_value name;
  const napi_finalize finalize = [](napi_env, void* data, void*) {
    delete static_cast<IoctlThread*>(data);
  };
  if (napi_create_string_utf8(env_, "overlaybd-nbd.ioctl.connect", NAPI_AUTO_LENGTH, &name) !=
          napi_ok ||
      napi_create_threadsafe_function(env_, ended, nullptr, name, 0, 1, this, finalize, this, Ended,
                                      &function_) != napi_ok) {
    delete this;
    return -ENOMEM;
  }
  int result = Hold(settings);
  if (result == 0) result = StartThread(path, settings);
  if (result >= 0) return 0;
  // The finalizer deletes this later, but the peers should see the end now.
  LetGo();
  napi_release_threadsafe_function(function_, napi_tsfn_abort);
  return result;
}

int IoctlThread::StartThread(const std::string& path, const NbdIoctlSettings& settings) {
  if (napi_add_env_cleanup_hook(env_, Teardown, this) != napi_ok) return -ENOMEM;
  std::promise<int> opened;
  std::future<int> outcome = opened.get_future();
  // The thread must get no signal, not even between its start and its first line.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread(&IoctlThread::Work, this, path, settings, &opened);
  } catch (const std::exception&) {
    opened.set_value(-EAGAIN);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  const int result = outcome.get();
  if (result < 0) {
    if (thread_.joinable()) thread_.join();
    napi_remove_env_cleanup_hook(env_, Teardown, this);
  }
  return result;
}

void IoctlThread::Work(const std::string& path, const NbdIoctlSettings& settings,
                       std::promise<int>* opened) {
  const int fd = NbdIoctlOpen(path.c_str(), settings);
  // From here on neither the settings nor the promise may be used: the caller continues.
  opened->set_value(fd);
  if (fd < 0) return;
  result_ = NbdIoctlRun(fd);
  napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking);
}

void IoctlThread::Ended(napi_env env, napi_value function, void* context, void*) {
  auto* const self = static_cast<IoctlThread*>(context);
  if (env == nullptr || self->torn_down_) return;
  self->thread_.join();
  napi_remove_env_cleanup_hook(env, Teardown, self);
  self->LetGo();
  const int result = self->result_;
  napi_release_threadsafe_function(self->function_, napi_tsfn_release);
  napi_value argument;
  napi_value receiver;
  if (napi_create_int32(env, result, &argument) != napi_ok ||
      napi_get_undefined(env, &receiver) != napi_ok) {
    return;
  }
  if (napi_call_function(env, receiver, function, 1, &argument, nullptr) != napi_ok) {
    ReportPendingException(env);
  }
}

void IoctlThread::Teardown(void* data) {
  auto* const self = static_cast<IoctlThread*>(data);
  self->torn_down_ = true;
  for (const int fd : self->held_) ::shutdown(fd, SHUT_RDWR);
  self->thread_.join();
  napi_release_threadsafe_function(self->function_, napi_tsfn_abort);
}

Napi::Value NbdIoctlConnectCall(const Napi::CallbackInfo& info) {
  NbdIoctlSettings settings;
  std::vector<char> path(kPathSize);
  const size_t length = StringArgument(info, 0, "path", path.data(), path.size());
  settings.size = IntegerArgument(info, 1, "sizeBytes", kMaxSafeInteger);
  settings.block_size = IntegerArgument(info, 2, "blockSizeBytes", UINT32_MAX);
  settings.timeout_seconds = MinusOneArgument(info, 3, "timeoutSeconds", kMaxSeconds);
  settings.server_flags = IntegerArgument(info, 4, "serverFlags", UINT32_MAX);
  const Descriptors sockets = DescriptorsArgument(info, 5, "sockets");
  if (!info[6].IsFunction()) {
    throw Napi::TypeError::New(info.Env(), "ended: must be a function");
  }
  if (length >= path.size()) return ToNumber(info, -ENAMETOOLONG);
  settings.sockets = sockets.data;
  settings.socket_count = sockets.count;
  auto* const thread = new IoctlThread(info.Env());
  return ToNumber(info, thread->Start(path.data(), settings, info[6]));
}

Napi::Value NbdIoctlDisconnectCall(const Napi::CallbackInfo& info) {
  std::vector<char> path(kPathSize);
  const size_t length = StringArgument(info, 0, "path", path.data(), path.size());
  return ToNumber(info, length < path.size() ? NbdIoctlDisconnect(path.data()) : -ENAMETOOLONG);
}

}  // namespace

void ExportIoctl(Napi::Object exports) {
  Export<NbdIoctlConnectCall>(exports, "connect");
  Export<NbdIoctlDisconnectCall>(exports, "disconnect");
}

}  // namespace overlaybd_nbd
