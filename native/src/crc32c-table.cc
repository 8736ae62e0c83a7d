// CRC-32C through tables, eight bytes a step; the fallback, and the oracle for the others.
#include <array>

#include "crc32c-implementations.h"

namespace overlaybd_nbd {
namespace {

constexpr size_t kSlices = 8;
using Table = std::array<std::array<uint32_t, 256>, kSlices>;

// kTable[n][b]: what byte b does to the register when n more bytes follow it.
constexpr Table MakeTable() {
  Table table = {};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kCrc32cPolynomial : 0);
    table[0][byte] = crc;
  }
  for (size_t slice = 1; slice < kSlices; ++slice) {
    for (size_t byte = 0; byte < 256; ++byte) {
      const uint32_t previous = table[slice - 1][byte];
      table[slice][byte] = (previous >> 8) ^ table[0][previous & 0xff];
    }
  }
  return table;
}

constexpr Table kTable = MakeTable();

}  // namespace

uint32_t Crc32cTable(const uint8_t* data, size_t length, uint32_t seed) {
  uint32_t crc = seed;
  for (; length >= kSlices; length -= kSlices, data += kSlices) {
    // Byte by byte, so that it is right on big-endian machines too.
    crc = kTable[7][data[0] ^ (crc & 0xff)] ^ kTable[6][data[1] ^ ((crc >> 8) & 0xff)] ^
          kTable[5][data[2] ^ ((crc >> 16) & 0xff)] ^ kTable[4][data[3] ^ (crc >> 24)] ^
          kTable[3][data[4]] ^ kTable[2][data[5]] ^ kTable[1][data[6]] ^ kTable[0][data[7]];
  }
  for (; length > 0; --length, ++data) crc = (crc >> 8) ^ kTable[0][(crc ^ *data) & 0xff];
  return crc;
}

}  // namespace overlaybd_nbd
