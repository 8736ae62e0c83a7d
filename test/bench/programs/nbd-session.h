// A lean NBD client for the benchmark: one connection that reads, and throws away what it gets. It
// uses as little processor time as it can, so that what is measured is the server. It trusts the
// server, and checks only what shows that a measurement is worth nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench {

// Prints "name: message" and ends the program.
[[noreturn]] void Fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Nanoseconds of the monotonic clock.
uint64_t Now();

// A read, and where it is in flight: the slot is its cookie.
struct Read {
  uint64_t offset;
  uint32_t length;
  uint32_t slot;
};

class NbdSession {
 public:
  // Connects to a Unix socket and opens the default export; `slots` is the most reads in flight.
  NbdSession(const char* socket, uint32_t slots);
  NbdSession(const NbdSession&) = delete;
  NbdSession& operator=(const NbdSession&) = delete;
  ~NbdSession();

  // Bytes of the export.
  uint64_t size() const { return size_; }

  // Sends all of them in one call.
  void Send(const std::vector<Read>& reads);

  // Waits for bytes of the server. `done` has the slots of the reads that are complete; it may be
  // empty.
  void Receive(std::vector<uint32_t>* done);

 private:
  void ShakeHands();
  void TakeHeader();
  void Write(const void* data, size_t length);
  void ReadAll(void* data, size_t length);

  const int fd_;
  uint64_t size_ = 0;
  std::vector<uint8_t> out_;
  std::vector<uint8_t> in_;
  // Bytes of the read in each slot.
  std::vector<uint32_t> lengths_;
  uint8_t header_[16];
  size_t header_bytes_ = 0;
  // What is left of the data of the reply whose header was taken.
  uint32_t data_left_ = 0;
  uint32_t slot_ = 0;
};

}  // namespace bench
