// The implementations of Crc32c, for its dispatch and for the test that compares them.
// No other file includes this one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace overlaybd_nbd {

using Crc32cFunction = uint32_t (*)(const uint8_t* data, size_t length, uint32_t seed);

// The Castagnoli polynomial, bit-reflected.
constexpr uint32_t kCrc32cPolynomial = 0x82F63B78;

// Eight bytes a step through tables; runs everywhere.
uint32_t Crc32cTable(const uint8_t* data, size_t length, uint32_t seed);

// Each is nullptr if the CPU (or the target architecture) does not have the instruction.
Crc32cFunction Crc32cX86Serial();       // SSE4.2
Crc32cFunction Crc32cX86Interleaved();  // SSE4.2 and PCLMULQDQ: three streams at once
Crc32cFunction Crc32cArm();             // ARMv8 CRC extension

inline uint64_t LoadWord(const uint8_t* data) {
  uint64_t word;
  memcpy(&word, data, sizeof(word));
  return word;
}

}  // namespace overlaybd_nbd
