// Replays recorded reads in their order, with some of them in flight:
//   nbd-replay SOCKET TRACE DEPTH
// Each line of the trace has an offset and a length in bytes. Prints JSON: requests, bytes, seconds
// from the first request to the last reply, and latencies in microseconds.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

#include "latencies.h"
#include "nbd-session.h"

namespace bench {
namespace {

std::vector<Read> ReadTrace(const char* path) {
  FILE* const file = fopen(path, "r");
  if (file == nullptr) Fail("%s: cannot be opened", path);
  std::vector<Read> reads;
  Read read = {};
  int fields = 0;
  while ((fields = fscanf(file, "%" SCNu64 " %" SCNu32, &read.offset, &read.length)) == 2) {
    if (read.length == 0) Fail("%s: a read of no bytes", path);
    reads.push_back(read);
  }
  if (fields != EOF || reads.empty()) Fail("%s: not a trace, after %zu reads", path, reads.size());
  fclose(file);
  return reads;
}

int Main(const char* socket, const char* path, uint32_t depth) {
  std::vector<Read> trace = ReadTrace(path);
  NbdSession session(socket, depth);
  Latencies latencies;
  std::vector<uint64_t> sent(depth);
  std::vector<Read> reads;
  std::vector<uint32_t> free;
  for (uint32_t slot = 0; slot < depth; ++slot) free.push_back(slot);
  size_t next = 0;
  uint64_t bytes = 0;
  const uint64_t begin = Now();
  uint64_t now = begin;
  for (size_t answered = 0; answered < trace.size();) {
    reads.clear();
    for (size_t i = 0; i < free.size() && next < trace.size(); ++i, ++next) {
      trace[next].slot = free[i];
      reads.push_back(trace[next]);
      bytes += trace[next].length;
      sent[free[i]] = now;
    }
    session.Send(reads);
    session.Receive(&free);
    now = Now();
    for (const uint32_t slot : free) latencies.Add(now - sent[slot]);
    answered += free.size();
  }
  printf("{\"requests\":%zu,\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"p50\":%.2f,\"p99\":%.2f}\n",
         trace.size(), bytes, static_cast<double>(now - begin) / 1e9, latencies.Quantile(0.5),
         latencies.Quantile(0.99));
  return 0;
}

}  // namespace
}  // namespace bench

int main(int count, char** words) {
  if (count != 4) bench::Fail("nbd-replay SOCKET TRACE DEPTH");
  return bench::Main(words[1], words[2], static_cast<uint32_t>(atoi(words[3])));
}
