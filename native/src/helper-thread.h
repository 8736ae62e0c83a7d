// Starts threads that help another one.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <thread>
#include <utility>

namespace overlaybd_nbd {

// False if the system has no thread to give.
template <typename Work>
bool StartHelper(std::thread* helper, Work work) {
  // Node.js has a thread for signals.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    *helper = std::thread(std::move(work));
  } catch (const std::system_error&) {
    started = false;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

}  // namespace overlaybd_nbd
