// CRC-32C by the ARMv8 instruction. On other architectures there is none.
#include "crc32c-implementations.h"

#if defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#include <asm/hwcap.h>
#include <sys/auxv.h>

namespace overlaybd_nbd {
namespace {

// As assembly, because the names of the intrinsics and of the target attribute that enables
// them differ between compilers.
uint32_t Serial(const uint8_t* data, size_t length, uint32_t seed) {
  uint32_t crc = seed;
  for (; length >= 8; length -= 8, data += 8) {
    asm(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(LoadWord(data)));
  }
  for (; length > 0; --length, ++data) {
    asm(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(*data));
  }
  return crc;
}

}  // namespace

Crc32cFunction Crc32cArm() { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0 ? Serial : nullptr; }

}  // namespace overlaybd_nbd

#else

namespace overlaybd_nbd {

Crc32cFunction Crc32cArm() { return nullptr; }

}  // namespace overlaybd_nbd

#endif
