// CRC-32C by the x86-64 instruction, one stream or three at once. On other architectures there is
// none.
#include "crc32c-implementations.h"

#if defined(__x86_64__)

#include <immintrin.h>

namespace overlaybd_nbd {
namespace {

// A register holds a polynomial over GF(2), reflected: bit 31 is x^0, bit 0 is x^31.
constexpr uint32_t TimesX(uint32_t value) {
  return (value >> 1) ^ ((value & 1) != 0 ? kCrc32cPolynomial : 0);
}

constexpr uint32_t PowerOfX(unsigned exponent) {
  uint32_t value = 0x80000000;
  for (unsigned i = 0; i < exponent; ++i) value = TimesX(value);
  return value;
}

// The factor that moves a register by `bytes` bytes. The product of two reflected 32-bit values,
// taken by the crc32 instruction as 64 bits of data, comes out multiplied by x^33 (32 from the
// instruction, 1 from reflection), which is corrected here.
constexpr uint32_t MoveOn(unsigned bytes) { return PowerOfX(8 * bytes - 33); }

__attribute__((target("sse4.2"))) uint32_t Serial(const uint8_t* data, size_t length,
                                                  uint32_t seed) {
  uint64_t crc = seed;
  for (; length >= 8; length -= 8, data += 8) crc = _mm_crc32_u64(crc, LoadWord(data));
  uint32_t tail = static_cast<uint32_t>(crc);
  for (; length > 0; --length, ++data) tail = _mm_crc32_u8(tail, *data);
  return tail;
}

// The instruction takes three cycles, but one can start every cycle: three neighbouring runs of
// kWords words each are processed in step, and joined by two multiplications.
template <unsigned kWords>
__attribute__((target("sse4.2,pclmul"))) uint32_t ThreeRuns(const uint8_t* data, uint32_t seed) {
  constexpr unsigned kRun = kWords * 8;
  static constexpr uint64_t kOnByOne = MoveOn(kRun);
  static constexpr uint64_t kOnByTwo = MoveOn(2 * kRun);
  uint64_t first = seed;
  uint64_t second = 0;
  uint64_t third = 0;
  for (const uint8_t* const end = data + kRun; data < end; data += 8) {
    first = _mm_crc32_u64(first, LoadWord(data));
    second = _mm_crc32_u64(second, LoadWord(data + kRun));
    third = _mm_crc32_u64(third, LoadWord(data + 2 * kRun));
  }
  const __m128i by =
      _mm_set_epi64x(static_cast<long long>(kOnByTwo), static_cast<long long>(kOnByOne));
  const __m128i registers =
      _mm_set_epi64x(static_cast<long long>(first), static_cast<long long>(second));
  const __m128i moved = _mm_xor_si128(_mm_clmulepi64_si128(registers, by, 0x11),
                                      _mm_clmulepi64_si128(registers, by, 0x00));
  return static_cast<uint32_t>(_mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(moved))) ^
                               third);
}

// Run lengths: one pass takes all but 64 bytes of a 4 KiB block; the shorter runs speed up the rest
// of a compressed block.
template <unsigned kWords>
uint32_t AllRuns(const uint8_t** data, size_t* length, uint32_t crc) {
  constexpr size_t kStep = 3 * 8 * kWords;
  for (; *length >= kStep; *length -= kStep, *data += kStep) {
    crc = ThreeRuns<kWords>(*data, crc);
  }
  return crc;
}

uint32_t Interleaved(const uint8_t* data, size_t length, uint32_t seed) {
  uint32_t crc = AllRuns<168>(&data, &length, seed);
  crc = AllRuns<42>(&data, &length, crc);
  crc = AllRuns<10>(&data, &length, crc);
  return Serial(data, length, crc);
}

}  // namespace

Crc32cFunction Crc32cX86Serial() { return __builtin_cpu_supports("sse4.2") ? Serial : nullptr; }

Crc32cFunction Crc32cX86Interleaved() {
  return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul") ? Interleaved
                                                                              : nullptr;
}

}  // namespace overlaybd_nbd

#else

namespace overlaybd_nbd {

Crc32cFunction Crc32cX86Serial() { return nullptr; }
Crc32cFunction Crc32cX86Interleaved() { return nullptr; }

}  // namespace overlaybd_nbd

#endif
