// Inflates gzip, and says where its blocks begin: with the zlib that is in Node.js. Node's own
// module does not say it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace overlaybd_nbd {

// The most that a stream refers back to.
constexpr size_t kInflateWindow = 32768;

// Where a call to Run has stopped.
struct InflateProgress {
  enum class Stop { kMore, kMemberEnd, kBadData, kNoMemory };

  Stop stop;
  size_t consumed;
  size_t produced;
  // The next bit is the first one of a block.
  bool at_block;
  // Bits of the last consumed byte that belong to what follows: its high ones.
  unsigned unused_bits;
};

class Inflater {
 public:
  // nullptr if Node.js has no zlib for addons, or there is no memory.
  static std::unique_ptr<Inflater> Make();

  virtual ~Inflater() = default;

  // Inflates until the input ends, the output is full, or the member ends; with `to_block` no
  // further than to the next block. After the end of a member it begins with the next one.
  virtual InflateProgress Run(const uint8_t* in, size_t in_size, uint8_t* out, size_t out_size,
                              bool to_block) = 0;

  // Copies the last bytes of the output, which have room for kInflateWindow, and returns how many
  // there are.
  virtual size_t Window(uint8_t* to) = 0;
};

}  // namespace overlaybd_nbd
