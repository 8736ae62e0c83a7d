// Keeps reads in flight on one or more connections for some seconds, one thread a connection:
//   nbd-load SOCKET random|sequential BLOCK_SIZE DEPTH CONNECTIONS SECONDS SEED
// Prints JSON: requests, requests a second, and latencies in microseconds.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "latencies.h"
#include "nbd-session.h"

namespace bench {
namespace {

struct Load {
  const char* socket;
  bool random;
  uint32_t block_size;
  uint32_t depth;
  uint32_t connections;
  uint64_t nanoseconds;
  uint64_t seed;
};

struct Result {
  Latencies latencies;
  uint64_t requests = 0;
  double seconds = 0;
};

// A run lasts until each connection has made this many: on a machine that is busy with other work,
// a short run would have none.
constexpr uint64_t kLeastRequests = 16;

// Offsets of the blocks that a connection reads: xorshift64* or one after the other.
class Offsets {
 public:
  Offsets(const Load& load, uint64_t size, uint32_t connection)
      : random_(load.random), block_size_(load.block_size), blocks_(size / load.block_size) {
    if (blocks_ == 0) Fail("the export is smaller than a block");
    state_ = (load.seed * load.connections + connection + 1) * 0x9e3779b97f4a7c15;
    // Each connection has a part of its own to begin with.
    next_ = blocks_ * connection / load.connections;
  }

  uint64_t Next() {
    if (!random_) {
      const uint64_t block = next_;
      next_ = next_ + 1 == blocks_ ? 0 : next_ + 1;
      return block * block_size_;
    }
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return (state_ * 0x2545f4914f6cdd1d >> 20) % blocks_ * block_size_;
  }

 private:
  const bool random_;
  const uint64_t block_size_;
  const uint64_t blocks_;
  uint64_t state_;
  uint64_t next_;
};

// All connections are there before one of them sends a request.
std::atomic<uint32_t> ready{0};

void Run(const Load& load, uint32_t connection, Result* result) {
  NbdSession session(load.socket, load.depth);
  Offsets offsets(load, session.size(), connection);
  std::vector<uint64_t> sent(load.depth);
  std::vector<Read> reads;
  std::vector<uint32_t> done;
  for (uint32_t slot = 0; slot < load.depth; ++slot) done.push_back(slot);
  ++ready;
  while (ready < load.connections) std::this_thread::yield();

  const uint64_t begin = Now();
  uint64_t now = begin;
  bool over = false;
  for (uint32_t in_flight = 0; !over || in_flight > 0;) {
    // The slots of `done` are free. The last replies are only waited for.
    reads.clear();
    for (size_t i = 0; i < done.size() && !over; ++i) {
      reads.push_back({offsets.Next(), load.block_size, done[i]});
      sent[done[i]] = now;
    }
    session.Send(reads);
    in_flight += static_cast<uint32_t>(reads.size());
    session.Receive(&done);
    in_flight -= static_cast<uint32_t>(done.size());
    if (over) continue;
    now = Now();
    for (const uint32_t slot : done) result->latencies.Add(now - sent[slot]);
    result->requests += done.size();
    over = now - begin >= load.nanoseconds && result->requests >= kLeastRequests;
  }
  result->seconds = static_cast<double>(now - begin) / 1e9;
}

int Main(const Load& load) {
  std::vector<Result> results(load.connections);
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < load.connections; ++i) {
    threads.emplace_back(Run, std::cref(load), i, &results[i]);
  }
  Latencies latencies;
  uint64_t requests = 0;
  double iops = 0;
  for (uint32_t i = 0; i < load.connections; ++i) {
    threads[i].join();
    latencies.Add(results[i].latencies);
    requests += results[i].requests;
    iops += static_cast<double>(results[i].requests) / results[i].seconds;
  }
  printf("{\"requests\":%llu,\"iops\":%.1f,\"p50\":%.2f,\"p99\":%.2f}\n",
         static_cast<unsigned long long>(requests), iops, latencies.Quantile(0.5),
         latencies.Quantile(0.99));
  return 0;
}

}  // namespace
}  // namespace bench

int main(int count, char** words) {
  if (count != 8) {
    bench::Fail("nbd-load SOCKET random|sequential BLOCK_SIZE DEPTH CONNECTIONS SECONDS SEED");
  }
  return bench::Main(
      {words[1], strcmp(words[2], "random") == 0, static_cast<uint32_t>(atoi(words[3])),
       static_cast<uint32_t>(atoi(words[4])), static_cast<uint32_t>(atoi(words[5])),
       static_cast<uint64_t>(atof(words[6]) * 1e9), static_cast<uint64_t>(atoll(words[7]))});
}
