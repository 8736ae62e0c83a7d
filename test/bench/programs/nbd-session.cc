// See nbd-session.h. The numbers of the protocol are those of daemon/nbd/constants.ts.
#include "nbd-session.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace bench {
namespace {

constexpr uint32_t kRequestMagic = 0x25609513;
constexpr uint32_t kReplyMagic = 0x67446698;
constexpr uint64_t kOptionMagic = 0x49484156454f5054;
constexpr uint32_t kFixedNewstyleNoZeroes = 3;
constexpr uint32_t kOptionGo = 7;
constexpr uint32_t kReplyAck = 1;
constexpr uint32_t kReplyInfo = 3;
constexpr uint16_t kInfoExport = 0;
constexpr uint16_t kCommandDisconnect = 2;
constexpr size_t kGreetingSize = 18;
constexpr size_t kRequestSize = 28;
constexpr size_t kMostInfo = 1 << 16;
constexpr size_t kMostReceived = 1 << 20;
// A server that is silent for this long hangs.
constexpr time_t kSilentSeconds = 20;

void Put(std::vector<uint8_t>* to, const void* data, size_t length) {
  const auto* const bytes = static_cast<const uint8_t*>(data);
  to->insert(to->end(), bytes, bytes + length);
}

void Put16(std::vector<uint8_t>* to, uint16_t value) {
  const uint16_t big = htobe16(value);
  Put(to, &big, sizeof(big));
}

void Put32(std::vector<uint8_t>* to, uint32_t value) {
  const uint32_t big = htobe32(value);
  Put(to, &big, sizeof(big));
}

void Put64(std::vector<uint8_t>* to, uint64_t value) {
  const uint64_t big = htobe64(value);
  Put(to, &big, sizeof(big));
}

uint16_t Get16(const uint8_t* from) {
  uint16_t big;
  memcpy(&big, from, sizeof(big));
  return be16toh(big);
}

uint32_t Get32(const uint8_t* from) {
  uint32_t big;
  memcpy(&big, from, sizeof(big));
  return be32toh(big);
}

uint64_t Get64(const uint8_t* from) {
  uint64_t big;
  memcpy(&big, from, sizeof(big));
  return be64toh(big);
}

void PutRequest(std::vector<uint8_t>* to, uint16_t command, const Read& read) {
  Put32(to, kRequestMagic);
  Put16(to, 0);
  Put16(to, command);
  Put64(to, read.slot);
  Put64(to, read.offset);
  Put32(to, read.length);
}

int Connect(const char* path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (strlen(path) >= sizeof(address.sun_path)) Fail("%s: too long for a socket", path);
  strcpy(address.sun_path, path);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) Fail("socket: %s", strerror(errno));
  const timeval silent = {kSilentSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &silent, sizeof(silent));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &silent, sizeof(silent));
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    Fail("%s: %s", path, strerror(errno));
  }
  return fd;
}

}  // namespace

void Fail(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  // Other threads may be in the middle of something.
  _exit(1);
}

uint64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000000000 + static_cast<uint64_t>(now.tv_nsec);
}

NbdSession::NbdSession(const char* socket, uint32_t slots)
    : fd_(Connect(socket)), in_(kMostReceived), lengths_(slots) {
  ShakeHands();
}

NbdSession::~NbdSession() {
  out_.clear();
  PutRequest(&out_, kCommandDisconnect, {0, 0, 0});
  // A server that is already gone is not this program's failure.
  if (send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL) < 0) perror("disconnect");
  close(fd_);
}

void NbdSession::Send(const std::vector<Read>& reads) {
  if (reads.empty()) return;
  out_.clear();
  for (const Read& read : reads) {
    lengths_[read.slot] = read.length;
    PutRequest(&out_, 0, read);
  }
  Write(out_.data(), out_.size());
}

void NbdSession::Receive(std::vector<uint32_t>* done) {
  done->clear();
  const ssize_t received = recv(fd_, in_.data(), in_.size(), 0);
  if (received <= 0) Fail("recv: %s", received == 0 ? "the server hung up" : strerror(errno));
  for (size_t at = 0, end = static_cast<size_t>(received); at < end;) {
    if (data_left_ == 0) {
      const size_t taken = std::min(sizeof(header_) - header_bytes_, end - at);
      memcpy(header_ + header_bytes_, in_.data() + at, taken);
      header_bytes_ += taken;
      at += taken;
      if (header_bytes_ < sizeof(header_)) return;
      TakeHeader();
    }
    const uint32_t taken = static_cast<uint32_t>(std::min<size_t>(data_left_, end - at));
    data_left_ -= taken;
    at += taken;
    if (data_left_ == 0) done->push_back(slot_);
  }
}

void NbdSession::TakeHeader() {
  header_bytes_ = 0;
  const uint64_t cookie = Get64(header_ + 8);
  if (Get32(header_) != kReplyMagic || cookie >= lengths_.size() || lengths_[cookie] == 0) {
    Fail("not a reply: magic 0x%08x, cookie %llu", Get32(header_),
         static_cast<unsigned long long>(cookie));
  }
  if (Get32(header_ + 4) != 0) Fail("a read failed: error %u", Get32(header_ + 4));
  slot_ = static_cast<uint32_t>(cookie);
  data_left_ = lengths_[slot_];
  lengths_[slot_] = 0;
}

void NbdSession::ShakeHands() {
  uint8_t greeting[kGreetingSize];
  ReadAll(greeting, sizeof(greeting));
  Put32(&out_, kFixedNewstyleNoZeroes);
  Put64(&out_, kOptionMagic);
  Put32(&out_, kOptionGo);
  // The length of the option's data: an empty name, and no information is asked for.
  Put32(&out_, 6);
  Put32(&out_, 0);
  Put16(&out_, 0);
  Write(out_.data(), out_.size());
  for (;;) {
    uint8_t reply[20];
    ReadAll(reply, sizeof(reply));
    const uint32_t type = Get32(reply + 12);
    std::vector<uint8_t> data(Get32(reply + 16));
    if (data.size() > kMostInfo) Fail("option go: a reply of %zu bytes", data.size());
    ReadAll(data.data(), data.size());
    if (type == kReplyAck) return;
    if (type != kReplyInfo) Fail("option go: reply 0x%08x", type);
    if (data.size() >= 10 && Get16(data.data()) == kInfoExport) size_ = Get64(data.data() + 2);
  }
}

void NbdSession::Write(const void* data, size_t length) {
  const auto* at = static_cast<const uint8_t*>(data);
  while (length > 0) {
    const ssize_t sent = send(fd_, at, length, MSG_NOSIGNAL);
    if (sent <= 0) Fail("send: %s", strerror(errno));
    at += sent;
    length -= static_cast<size_t>(sent);
  }
}

void NbdSession::ReadAll(void* data, size_t length) {
  auto* at = static_cast<uint8_t*>(data);
  while (length > 0) {
    const ssize_t received = recv(fd_, at, length, 0);
    if (received <= 0) Fail("recv: %s", received == 0 ? "the server hung up" : strerror(errno));
    at += received;
    length -= static_cast<size_t>(received);
  }
}

}  // namespace bench
