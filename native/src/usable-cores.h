// How many cores this thread may use: containers and taskset narrow its affinity mask.
#pragma once

#include <sched.h>

namespace overlaybd_nbd {

inline unsigned UsableCores() {
  cpu_set_t cores;
  if (::sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  return static_cast<unsigned>(CPU_COUNT(&cores));
}

}  // namespace overlaybd_nbd
