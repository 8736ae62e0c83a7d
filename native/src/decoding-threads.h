// How many threads of this process decode now, so that helpers are used only where a core is free.
#pragma once

#include <atomic>
#include <thread>

namespace overlaybd_nbd {

// Counts the thread that has it.
class DecodingThread {
 public:
  DecodingThread() { Count().fetch_add(1, std::memory_order_relaxed); }
  ~DecodingThread() { Count().fetch_sub(1, std::memory_order_relaxed); }
  DecodingThread(const DecodingThread&) = delete;
  DecodingThread& operator=(const DecodingThread&) = delete;

  // Whether fewer threads decode than there are cores. Others may begin at once.
  static bool IsCoreFree(unsigned waiting = 0) {
    static const unsigned cores = std::thread::hardware_concurrency();
    return Count().load(std::memory_order_relaxed) + waiting < cores;
  }

 private:
  static std::atomic<unsigned>& Count() {
    static std::atomic<unsigned> count{0};
    return count;
  }
};

}  // namespace overlaybd_nbd
