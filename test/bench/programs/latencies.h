// Counts latencies in buckets of about 1 %, so that a run of any length needs the same memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

class Latencies {
 public:
  void Add(uint64_t nanoseconds) { ++counts_[BucketOf(nanoseconds)]; }

  void Add(const Latencies& other) {
    for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  }

  uint64_t count() const {
    uint64_t sum = 0;
    for (const uint64_t each : counts_) sum += each;
    return sum;
  }

  // Microseconds. `share` is 0.5 for the median.
  double Quantile(double share) const {
    const double wanted = share * static_cast<double>(count());
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (static_cast<double>(seen) > wanted || (seen > 0 && seen == count())) {
        return MiddleOf(i) / 1000;
      }
    }
    return 0;
  }

 private:
  // Each power of two has this many buckets.
  static constexpr unsigned kBits = 6;
  static constexpr uint64_t kParts = 1 << kBits;

  static size_t BucketOf(uint64_t value) {
    if (value < kParts) return value;
    const unsigned shift = 63 - static_cast<unsigned>(__builtin_clzll(value)) - kBits;
    return (shift + 1) * kParts + ((value >> shift) - kParts);
  }

  static double MiddleOf(size_t bucket) {
    if (bucket < kParts) return static_cast<double>(bucket);
    const unsigned shift = static_cast<unsigned>(bucket / kParts - 1);
    const uint64_t first = (kParts + bucket % kParts) << shift;
    return static_cast<double>(first) + static_cast<double>(uint64_t{1} << shift) / 2;
  }

  std::vector<uint64_t> counts_ = std::vector<uint64_t>((64 - kBits + 1) * kParts);
};

}  // namespace bench
