// See loop-spin.h.
#include "loop-spin.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "pause.h"
#include "usable-cores.h"

namespace overlaybd_nbd {
namespace {

constexpr uint64_t kMicrosecond = 1000;
constexpr uint64_t kMillisecond = 1000 * kMicrosecond;

// What a look that finds an event saves: about the time that a thread needs to wake up.
constexpr int64_t kFoundCredit = 25 * kMicrosecond;
// So a client that stops is looked for in vain for at most this long.
constexpr int64_t kMaxCredit = 500 * kMicrosecond;
// The time without looks after the credit is used up. Doubles until a look finds something.
constexpr uint64_t kFirstRest = 1 * kMillisecond;
constexpr uint64_t kLongestRest = 100 * kMillisecond;
// How often the number of runnable threads is read (it takes some microseconds), and the rest if it
// is too high.
constexpr uint64_t kLoadCheckEvery = 1 * kMillisecond;
constexpr uint64_t kCrowdedRest = 10 * kMillisecond;
// A look that was interrupted for this long: another thread, or the control group's limit, has
// taken the core.
constexpr uint64_t kInterrupted = 500 * kMicrosecond;
constexpr uint64_t kInterruptedRest = 200 * kMillisecond;
// Most time of looks in each window.
constexpr uint64_t kWindow = 10 * kMillisecond;
constexpr uint64_t kWindowShare = kWindow * 3 / 4;
// For how long a source handles its input while the loop waits. The loop's timers count
// milliseconds.
constexpr uint64_t kInnerTime = 1 * kMillisecond;

}  // namespace

int LoopSpin::Limit(uint64_t nanoseconds) {
  limit_ = nanoseconds;
  if (nanoseconds == 0) {
    if (is_open_) uv_prepare_stop(&prepare_);
    return 0;
  }
  if (!is_open_) {
    cores_ = UsableCores();
    load_fd_ = ::open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
    if (load_fd_ < 0) return -errno;
    const int result = uv_prepare_init(loop_, &prepare_);
    if (result < 0) return result;
    prepare_.data = this;
    uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_));
    next_rest_ = kFirstRest;
    is_open_ = true;
  }
  return uv_prepare_start(&prepare_, OnPrepare);
}

void LoopSpin::Close(void (*closed)(void* data), void* data) {
  closed_ = closed;
  closed_data_ = data;
  is_open_ = false;
  ::close(load_fd_);
  load_fd_ = -1;
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), [](uv_handle_t* handle) {
    auto* const self = static_cast<LoopSpin*>(handle->data);
    self->closed_(self->closed_data_);
  });
}

// The loop is about to wait for events.
void LoopSpin::OnPrepare(uv_prepare_t* prepare) {
  auto* const self = static_cast<LoopSpin*>(prepare->data);
  if (self->had_event_) self->BeforeSleep();
  self->source_ = nullptr;
}

void LoopSpin::BeforeSleep() {
  uint64_t now = uv_hrtime();
  const uint64_t end = now + kInnerTime;
  // It stops if the loop has other work to do and will not sleep.
  while (had_event_ && limit_ > 0 && uv_backend_timeout(loop_) != 0) {
    had_event_ = false;
    if (!MayLook(now) || Look(now) != Found::kInput) break;
    now = uv_hrtime();
    if (now >= end) break;
    source_->OnInput();
    // The loop has yet to tell the system what it watches now.
    if (source_ == nullptr) break;
    now = uv_hrtime();
  }
  had_event_ = false;
  uv_update_time(loop_);
}

bool LoopSpin::MayLook(uint64_t now) {
  if (now < rests_until_) return false;
  if (now >= window_end_) {
    window_end_ = now + kWindow;
    window_left_ = kWindowShare;
  }
  if (window_left_ == 0) return false;
  if (now >= next_load_check_) {
    next_load_check_ = now + kLoadCheckEvery;
    if (IsCrowded()) {
      Rest(now + kCrowdedRest);
      return false;
    }
  }
  return true;
}

// "0.20 0.18 0.12 1/80 11206": the fourth field begins with the number of runnable threads, this
// one included.
bool LoopSpin::IsCrowded() const {
  char text[128];
  const ssize_t n = ::pread(load_fd_, text, sizeof(text) - 1, 0);
  if (n <= 0) return true;
  text[n] = '\0';
  const char* at = text;
  for (int field = 0; field < 3; ++field) {
    at = std::strchr(at, ' ');
    if (at == nullptr) return true;
    ++at;
  }
  return std::strtoul(at, nullptr, 10) > cores_;
}

LoopSpin::Found LoopSpin::Look(uint64_t begin) {
  // The descriptor of the loop is ready, too, when that of the source is.
  pollfd watched[] = {{uv_backend_fd(loop_), POLLIN, 0}, {-1, POLLIN, 0}};
  if (source_ != nullptr) watched[1].fd = source_->InputDescriptor();
  const uint64_t most = std::min(limit_, window_left_);
  uint64_t now = begin;
  bool found;
  bool was_interrupted = false;
  // Whatever was ready before has its turn in the loop first.
  bool was_idle = false;
  do {
    found = ::poll(watched, 2, 0) > 0;
    if (!found) {
      was_idle = true;
      Pause();
    }
    const uint64_t then = now;
    now = uv_hrtime();
    if (now - then > kInterrupted) was_interrupted = true;
  } while (!found && now - begin < most);

  const uint64_t spent = now - begin;
  window_left_ -= std::min(window_left_, spent);
  ++counts_.looks;
  counts_.nanoseconds += spent;
  if (found) {
    ++counts_.found;
    credit_ = std::min(credit_ + kFoundCredit, kMaxCredit);
    next_rest_ = kFirstRest;
  } else {
    credit_ -= static_cast<int64_t>(spent);
  }
  if (was_interrupted) {
    Rest(now + kInterruptedRest);
  } else if (credit_ < 0) {
    credit_ = 0;
    Rest(now + next_rest_);
    next_rest_ = std::min(next_rest_ * 2, kLongestRest);
  }
  if (!found) return Found::kNothing;
  return was_idle && watched[1].revents == POLLIN ? Found::kInput : Found::kOther;
}

}  // namespace overlaybd_nbd
