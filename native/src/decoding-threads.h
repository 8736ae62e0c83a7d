// How many threads of this process decode now, so that helpers are used only where a core is free.
#pragma once

#include <atomic>

#include "usable-cores.h"

namespace overlaybd_nbd {

// Counts the thread that has it.
class DecodingThread {
 public:
  DecodingThread() { Count().fetch_add(1, std::memory_order_relaxed); }
  ~DecodingThread() { Count().fetch_sub(1, std::memory_order_relaxed); }
  DecodingThread(const DecodingThread&) = delete;
  DecodingThread& operator=(const DecodingThread&) = delete;

  // Whether fewer threads decode than there are cores. `soon` threads that will decode at once, and
  // are not counted yet, need a core each. Others may begin at any time.
  static bool IsCoreFree(unsigned soon = 0) {
    static const unsigned cores = UsableCores();
    return Count().load(std::memory_order_relaxed) + soon < cores;
  }

 private:
  static std::atomic<unsigned>& Count() {
    static std::atomic<unsigned> count{0};
    return count;
  }
};

}  // namespace overlaybd_nbd
