// The functions that each *-binding.cc adds to the addon: those of one object of its exports. All
// state belongs to the environment.
#pragma once

#include <napi.h>

namespace overlaybd_nbd {

void ExportAttributes(Napi::Object attributes);
void ExportBlockOffsets(Napi::Object offsets);
void ExportSockets(Napi::Object sockets);
void ExportDescriptors(Napi::Object descriptors);
void ExportFiles(Napi::Object files);
// What ExportCacheFiles takes.
void* ExportFileJobs(Napi::Object files);
void ExportCacheFiles(Napi::Object cache_files, void* port);
void ExportFilePipes(Napi::Object file_pipes);
void ExportCrc32c(Napi::Object crc32c);
void ExportCodecs(Napi::Object codecs);
void ExportDecodeJobs(Napi::Object codecs);
void ExportDecodeAhead(Napi::Object ahead);
void ExportPoll(Napi::Object poll);
void ExportNetlink(Napi::Object netlink);
void ExportIoctl(Napi::Object ioctl);
void ExportInflaters(Napi::Object inflaters);
void ExportMemory(Napi::Object memory);
void ExportProcess(Napi::Object process);
void ExportZstdStreams(Napi::Object zstd_streams);

}  // namespace overlaybd_nbd
