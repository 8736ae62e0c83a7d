// A step of a loop that waits for another core, or for the system, for a few microseconds.
#pragma once

namespace overlaybd_nbd {

inline void Pause() {
#if defined(__x86_64__) || defined(__i386__)
  for (int i = 0; i < 8; ++i) __builtin_ia32_pause();
#elif defined(__aarch64__)
  for (int i = 0; i < 8; ++i) asm volatile("yield");
#endif
}

}  // namespace overlaybd_nbd
