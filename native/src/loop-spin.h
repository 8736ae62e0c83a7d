// Looks for events of a loop for some microseconds before the loop sleeps. A thread that sleeps
// needs as long to wake up as to answer a request, so a client that sends its next request when it
// has the reply is served up to twice as fast. It costs CPU that other programs may need, so looks
// are made only
// - right after events of sockets that took little time: an idle loop makes none;
// - while looks find events: looks that find one pay for looks that find nothing;
// - while the system has a core for each runnable thread;
// - for at most three quarters of the time.
//
// Most looks that find something find the next request of the client that sent the last one. Its
// source then handles it at once, without the rest of the loop's turn, which would ask the system
// once more what is ready. The loop goes on as soon as anything else is ready, and after kInnerTime
// for its timers.
#pragma once

#include <uv.h>

#include <cstdint>

namespace overlaybd_nbd {

struct SpinCounts {
  uint64_t looks = 0;
  uint64_t found = 0;
  uint64_t nanoseconds = 0;
};

// A descriptor of the loop and what is done when it is readable.
class SpinSource {
 public:
  // The descriptor, if the loop watches it for input and for nothing else. Otherwise -1.
  virtual int InputDescriptor() const = 0;
  // Does what the loop would do when the descriptor is readable.
  virtual void OnInput() = 0;

 protected:
  ~SpinSource() = default;
};

class LoopSpin {
 public:
  explicit LoopSpin(uv_loop_t* loop) : loop_(loop) {}
  LoopSpin(const LoopSpin&) = delete;
  LoopSpin& operator=(const LoopSpin&) = delete;

  // How long a look may take; 0 ends them. Returns 0 or -errno, and then makes no looks.
  int Limit(uint64_t nanoseconds);
  // The loop has handled an event: the next one may come soon, most likely from the same source.
  void NoteEvent(SpinSource* source = nullptr) {
    had_event_ = true;
    source_ = source;
  }
  // The source ends, or what it is watched for has changed.
  void Forget(const SpinSource* source) {
    if (source_ == source) source_ = nullptr;
  }
  // Its work takes so long that a look saves little.
  void Skip() { had_event_ = false; }
  const SpinCounts& Counts() const { return counts_; }

  bool IsOpen() const { return is_open_; }
  // Closes what Limit has opened. `closed` gets `data`; before that, this object must stay.
  void Close(void (*closed)(void* data), void* data);

 private:
  enum class Found { kNothing, kInput, kOther };

  static void OnPrepare(uv_prepare_t* prepare);
  void BeforeSleep();
  bool MayLook(uint64_t now);
  bool IsCrowded() const;
  Found Look(uint64_t begin);
  void Rest(uint64_t until) { rests_until_ = until; }

  uv_loop_t* const loop_;
  uv_prepare_t prepare_;
  bool is_open_ = false;
  bool had_event_ = false;
  SpinSource* source_ = nullptr;
  uint64_t limit_ = 0;
  void (*closed_)(void* data) = nullptr;
  void* closed_data_ = nullptr;

  // /proc/loadavg, and the cores that this thread may use.
  int load_fd_ = -1;
  unsigned cores_ = 1;

  // Times are of the monotonic clock; all are nanoseconds.
  uint64_t rests_until_ = 0;
  uint64_t next_rest_;
  int64_t credit_ = 0;
  uint64_t next_load_check_ = 0;
  uint64_t window_end_ = 0;
  uint64_t window_left_ = 0;
  SpinCounts counts_;
};

}  // namespace overlaybd_nbd
