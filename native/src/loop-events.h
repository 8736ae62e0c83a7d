// Events of a loop that are no events of its sockets. See loop-spin.h.
#pragma once

#include <napi.h>

namespace overlaybd_nbd {

// A read that waited for a disk has ended, so its reply is sent in this turn of the loop, and the
// next request may come soon.
void NoteLoopEvent(napi_env env);

}  // namespace overlaybd_nbd
