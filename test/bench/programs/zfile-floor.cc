// What decoding a ZFile costs at least on this machine: one thread checks and decodes the blocks of
// a file in memory, and does nothing else.
//   zfile-floor FILE SECONDS
// Prints JSON: plain bytes a second, block after block; and random reads a second that need two
// neighbouring blocks each, as one of 4 KiB does where data is not aligned to blocks. Both are by
// the processor time of the thread, which depends little on what else runs. The libraries and the
// CRC are those of the daemon. Exit code 3: this machine has no such library.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "../../../native/src/codec-library.h"
#include "../../../native/src/crc32c.h"

namespace {

using overlaybd_nbd::Codec;

constexpr int kNoLibrary = 3;
constexpr size_t kPage = 512;
constexpr uint32_t kCrcSeed = 100007;
constexpr size_t kCrcSize = overlaybd_nbd::kCrc32cSize;
// Plain bytes that are decoded one after the other into the same memory, as for a long read.
constexpr size_t kRun = 256 * 1024;
// Reads between two looks at the clock.
constexpr int kBatch = 256;

[[noreturn]] void Fail(const char* message) {
  fprintf(stderr, "zfile-floor: %s\n", message);
  exit(1);
}

double ThreadSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::vector<uint8_t> ReadFile(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) Fail(path);
  std::vector<uint8_t> bytes(static_cast<size_t>(status.st_size));
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = read(fd, bytes.data() + at, bytes.size() - at);
    if (n <= 0) Fail(path);
    at += static_cast<size_t>(n);
  }
  close(fd);
  return bytes;
}

template <typename Integer>
Integer Little(const std::vector<uint8_t>& bytes, size_t at) {
  Integer value = 0;
  if (at > bytes.size() || bytes.size() - at < sizeof(value)) Fail("outside the file");
  for (size_t i = sizeof(value); i > 0; --i) {
    value = static_cast<Integer>(value << 8 | bytes[at + i - 1]);
  }
  return value;
}

// The fields are those of docs/formats.md; the benchmark wrote the file itself, with all values in
// the header and a CRC for each block.
class ZFile {
 public:
  explicit ZFile(const char* path) : bytes_(ReadFile(path)) {
    size_ = Little<uint64_t>(bytes_, 56);
    block_size_ = Little<uint32_t>(bytes_, 72);
    codec_ = Little<uint8_t>(bytes_, 76) == 1 ? Codec::kLz4 : Codec::kZstd;
    const uint64_t table = Little<uint64_t>(bytes_, 40);
    const uint64_t count = Little<uint64_t>(bytes_, 48);
    if (block_size_ == 0 || Little<uint8_t>(bytes_, 88) != 1 || count < 2) Fail("no such ZFile");
    uint64_t at = kPage;
    for (uint64_t i = 0; i < count; ++i) {
      bounds_.push_back(at);
      at += Little<uint32_t>(bytes_, table + 4 * i);
      if (at > table || at - bounds_.back() < kCrcSize) Fail("a block is not in the file");
    }
    bounds_.push_back(at);
  }

  Codec codec() const { return codec_; }
  size_t block_size() const { return block_size_; }
  uint64_t blocks() const { return bounds_.size() - 1; }

  size_t PlainLength(uint64_t block) const {
    return std::min<uint64_t>(block_size_, size_ - block * block_size_);
  }

  void Decode(overlaybd_nbd::BlockCodec* codec, uint64_t block, uint8_t* to) const {
    const uint8_t* const stored = bytes_.data() + bounds_[block];
    const size_t length = bounds_[block + 1] - bounds_[block] - kCrcSize;
    const uint32_t crc = overlaybd_nbd::Crc32c(stored, length, kCrcSeed);
    if (crc != overlaybd_nbd::LoadCrc32c(stored + length)) Fail("a CRC does not match");
    const size_t plain = PlainLength(block);
    if (codec->Decode(stored, length, to, plain) != static_cast<int64_t>(plain)) {
      Fail("a block does not decode");
    }
  }

 private:
  const std::vector<uint8_t> bytes_;
  std::vector<uint64_t> bounds_;
  uint64_t size_;
  size_t block_size_;
  Codec codec_;
};

// Bytes a second.
double Sequential(const ZFile& file, overlaybd_nbd::BlockCodec* codec, double seconds) {
  std::vector<uint8_t> run(std::max(kRun, file.block_size()));
  uint64_t block = 0;
  double bytes = 0;
  const double begin = ThreadSeconds();
  double elapsed = 0;
  do {
    for (size_t at = 0; at + file.block_size() <= run.size(); at += file.block_size()) {
      file.Decode(codec, block, run.data() + at);
      bytes += static_cast<double>(file.PlainLength(block));
      block = block + 1 == file.blocks() ? 0 : block + 1;
    }
    elapsed = ThreadSeconds() - begin;
  } while (elapsed < seconds);
  return bytes / elapsed;
}

// Reads a second.
double Random(const ZFile& file, overlaybd_nbd::BlockCodec* codec, double seconds) {
  std::vector<uint8_t> pair(2 * file.block_size());
  uint64_t state = 88172645463325252;
  double reads = 0;
  const double begin = ThreadSeconds();
  double elapsed = 0;
  do {
    for (int i = 0; i < kBatch; ++i) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      const uint64_t block = state % (file.blocks() - 1);
      file.Decode(codec, block, pair.data());
      file.Decode(codec, block + 1, pair.data() + file.block_size());
    }
    reads += kBatch;
    elapsed = ThreadSeconds() - begin;
  } while (elapsed < seconds);
  return reads / elapsed;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) Fail("zfile-floor FILE SECONDS");
  const ZFile file(words[1]);
  const double seconds = atof(words[2]) / 2;
  const std::unique_ptr<overlaybd_nbd::BlockCodec> codec =
      overlaybd_nbd::MakeBlockCodec(file.codec());
  if (codec == nullptr) return kNoLibrary;
  const double sequential = Sequential(file, codec.get(), seconds);
  const double random = Random(file, codec.get(), seconds);
  printf("{\"rate\":%.3f,\"iops\":%.1f}\n", sequential / 1e6, random);
  return 0;
}
