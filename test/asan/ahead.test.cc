// The helper of decode-ahead on its own, for the sanitizers: rounds that begin, end and are given
// up while it works. Prints the number of checks; exits 1 if one fails.
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "../../native/src/crc32c.h"
#include "../../native/src/decode-ahead.h"
#include "../../native/src/usable-cores.h"
#include "check.h"

using namespace overlaybd_nbd;

namespace {

constexpr uint32_t kSeed = 7;
constexpr size_t kBlockSize = 5;
constexpr size_t kBlocks = 4;
constexpr size_t kRangeSize = kBlocks * kBlockSize;

// Stored blocks of one range, all of the same letter.
struct Stored {
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> bounds = {0};
};

Stored MakeStored(Codec codec, uint8_t letter) {
  std::vector<uint8_t> block = {0x50};
  // A frame in one segment that says its size, with one raw block.
  if (codec == Codec::kZstd) block = {0x28, 0xb5, 0x2f, 0xfd, 0x20, kBlockSize, 0x29, 0, 0};
  block.insert(block.end(), kBlockSize, letter);
  const uint32_t crc = Crc32c(block.data(), block.size(), kSeed);
  for (int byte = 0; byte < 4; ++byte) block.push_back(static_cast<uint8_t>(crc >> (8 * byte)));
  Stored stored;
  for (size_t i = 0; i < kBlocks; ++i) {
    stored.bytes.insert(stored.bytes.end(), block.begin(), block.end());
    stored.bounds.push_back(static_cast<uint32_t>(stored.bytes.size()));
  }
  return stored;
}

uint8_t LetterOf(size_t number) { return static_cast<uint8_t>('a' + number % 26); }

// Announces ranges one behind the other.
void Announce(DecodeAhead* ahead, Codec codec, size_t count, size_t round) {
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    const Stored stored = MakeStored(codec, LetterOf(i + round));
    memcpy(ahead->stored().get() + at, stored.bytes.data(), stored.bytes.size());
    BlockRun run = {};
    run.data = ahead->stored().get() + at;
    run.size = DecodeAhead::kStoredSize - at;
    run.bounds = stored.bounds.data();
    run.count = kBlocks;
    run.has_crc = true;
    run.crc_seed = kSeed;
    run.out = ahead->plain().get() + i * kRangeSize;
    run.block_size = run.last_size = run.last_wanted = kBlockSize;
    CHECK(ahead->Add(codec, run, -1, 0) == static_cast<int>(i));
    at += stored.bytes.size();
  }
}

// Whether the range is decoded; then it has the right bytes.
bool Finish(DecodeAhead* ahead, size_t i, size_t round) {
  if (!ahead->Finish(i)) return false;
  const std::vector<uint8_t> expected(kRangeSize, LetterOf(i + round));
  CHECK(memcmp(ahead->plain().get() + i * kRangeSize, expected.data(), kRangeSize) == 0);
  return true;
}

void BeginRound(DecodeAhead* ahead) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!ahead->Begin() && std::chrono::steady_clock::now() < end) std::this_thread::yield();
}

void TestRounds(Codec codec) {
  if (MakeBlockCodec(codec) == nullptr || UsableCores() < 2) {
    printf("codec %d: no library or one core, not tested\n", static_cast<int>(codec));
    return;
  }
  DecodeAhead ahead;
  BlockRun none = {};
  CHECK(ahead.Add(codec, none, -1, 0) == -1);
  CHECK(!ahead.Finish(0));
  constexpr size_t kMost = DecodeAhead::kMaxBlocks / kBlocks;
  for (size_t round = 0; round < 2000; ++round) {
    BeginRound(&ahead);
    const size_t count = 1 + round * 7 % kMost;
    Announce(&ahead, codec, count, round);
    if (round % 4 != 0) ahead.Wake();
    // The next round begins in the middle of every third one.
    const size_t until = round % 3 == 0 ? count / 2 : count;
    for (size_t i = 0; i < until; ++i) Finish(&ahead, i, round);
    if (round % 5 != 0 || ahead.Begin()) continue;
    // The helper was in a range.
    CHECK(ahead.Add(codec, none, -1, 0) == -1);
    for (size_t i = 0; i < count; ++i) Finish(&ahead, i, round);
  }
  BeginRound(&ahead);
  const uint64_t before = ahead.helped();
  Announce(&ahead, codec, kMost, 1);
  ahead.Wake();
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (ahead.helped() - before < kMost && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
  }
  CHECK(ahead.helped() - before == kMost);
  for (size_t i = 0; i < kMost; ++i) CHECK(Finish(&ahead, i, 1));
}

}  // namespace

int main() {
  TestRounds(Codec::kLz4);
  TestRounds(Codec::kZstd);
  printf("decode ahead: %d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
