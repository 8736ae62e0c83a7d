// How often a second a plain binary search in C++ finds the segment of a random sector:
//   lookup-floor SEGMENTS SECONDS
// Segments have 16 bytes, as those of the reference, whose lookup is the same search. Prints JSON,
// by the processor time of the thread.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <vector>

namespace {

struct Segment {
  uint64_t offset;
  uint64_t moffset;
};

constexpr size_t kQueries = 1 << 18;

uint64_t Random() {
  static uint64_t state = 88172645463325252;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state >> 8;
}

double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return 2;
  std::vector<Segment> segments(static_cast<size_t>(atoi(words[1])));
  uint64_t sectors = 0;
  // Of 4 to 64 KiB, with holes between most of them.
  for (Segment& each : segments) {
    sectors += 8 * (Random() % 8);
    each = {sectors, 2 * sectors};
    sectors += 8 * (1 + Random() % 16);
  }
  std::vector<uint64_t> queries(kQueries);
  for (uint64_t& each : queries) each = Random() % sectors;

  const double seconds = atof(words[2]);
  uint64_t sum = 0;
  double lookups = 0;
  const double begin = ThreadSeconds();
  double elapsed = 0;
  do {
    for (const uint64_t sector : queries) {
      const auto found = std::upper_bound(
          segments.begin(), segments.end(), sector,
          [](uint64_t wanted, const Segment& segment) { return wanted < segment.offset; });
      sum += static_cast<uint64_t>(found - segments.begin());
    }
    lookups += kQueries;
    elapsed = ThreadSeconds() - begin;
  } while (elapsed < seconds);
  // The sum is printed, so that the compiler cannot remove a lookup.
  printf("{\"lookups\":%.0f,\"sum\":%llu}\n", lookups / elapsed,
         static_cast<unsigned long long>(sum));
  return 0;
}
