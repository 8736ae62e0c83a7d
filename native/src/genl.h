// Generic netlink over one socket: a request, its answer, its acknowledgement. The only family that
// it knows is the controller, which resolves names. Every function that returns a number returns
// one >= 0, or -errno; messages of the kernel are checked before they are used (-EBADMSG).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace overlaybd_nbd {

// The payload of an attribute within its message. `data` is null if there is none.
struct Attribute {
  const uint8_t* data = nullptr;
  size_t size = 0;

  // False unless it is exactly as long as the value.
  bool Get(uint8_t* value) const;
  bool Get(uint16_t* value) const;
  bool Get(uint32_t* value) const;
};

// The first attribute of this type among `size` bytes of attributes, up to the first malformed one.
Attribute FindAttribute(const uint8_t* data, size_t size, uint16_t type);
Attribute FindAttribute(Attribute nest, uint16_t type);

class GenlRequest {
 public:
  GenlRequest(uint16_t family, uint8_t command, uint8_t version);

  void Put(uint16_t type, const void* data, size_t size);
  void PutU32(uint16_t type, uint32_t value) { Put(type, &value, sizeof(value)); }
  void PutU64(uint16_t type, uint64_t value) { Put(type, &value, sizeof(value)); }
  // Attributes that are put before EndNest (with the returned position) become part of it.
  size_t BeginNest(uint16_t type);
  void EndNest(size_t position);

  // The whole message, with its final length and the number that the answer must repeat.
  const std::vector<uint8_t>& Finish(uint32_t sequence);

 private:
  std::vector<uint8_t> bytes_;
};

// Parses one datagram of the kernel. kUnfinished until the acknowledgement arrives, then 0 or its
// -errno; the attributes of an answer before it go to `answer`.
constexpr int kUnfinished = 1;
int ReadAnswer(const uint8_t* datagram, size_t size, uint32_t sequence,
               std::vector<uint8_t>* answer);

class GenlSocket {
 public:
  GenlSocket() = default;
  ~GenlSocket();
  GenlSocket(const GenlSocket&) = delete;
  GenlSocket& operator=(const GenlSocket&) = delete;

  int Open();
  // The number of a family; -ENOENT if the kernel has none of that name. The kernel may load a
  // module.
  int Resolve(const char* family);
  // Waits until the kernel has handled the request, and up to 10 s for its answer: -ETIMEDOUT.
  int Exchange(GenlRequest* request, std::vector<uint8_t>* answer);

 private:
  int fd_ = -1;
  uint32_t sequence_ = 0;
};

}  // namespace overlaybd_nbd
