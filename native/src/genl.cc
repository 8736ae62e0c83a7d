// Generic netlink over one socket. See genl.h.
#include "genl.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace overlaybd_nbd {
namespace {

// More than any answer to one request of this file.
constexpr size_t kDatagramSize = 16384;
constexpr uint8_t kControllerVersion = 2;
constexpr time_t kAnswerSeconds = 10;

template <typename Value>
bool GetExactly(const Attribute& attribute, Value* value) {
  if (attribute.data == nullptr || attribute.size != sizeof(*value)) return false;
  memcpy(value, attribute.data, sizeof(*value));
  return true;
}

}  // namespace

bool Attribute::Get(uint8_t* value) const { return GetExactly(*this, value); }
bool Attribute::Get(uint16_t* value) const { return GetExactly(*this, value); }
bool Attribute::Get(uint32_t* value) const { return GetExactly(*this, value); }

Attribute FindAttribute(const uint8_t* data, size_t size, uint16_t type) {
  while (size >= sizeof(nlattr)) {
    nlattr header;
    memcpy(&header, data, sizeof(header));
    if (header.nla_len < sizeof(header) || header.nla_len > size) break;
    if ((header.nla_type & NLA_TYPE_MASK) == type) {
      return {data + sizeof(header), header.nla_len - sizeof(header)};
    }
    const size_t step = NLA_ALIGN(static_cast<size_t>(header.nla_len));
    if (step >= size) break;
    data += step;
    size -= step;
  }
  return {};
}

Attribute FindAttribute(Attribute nest, uint16_t type) {
  return FindAttribute(nest.data, nest.size, type);
}

GenlRequest::GenlRequest(uint16_t family, uint8_t command, uint8_t version)
    : bytes_(NLMSG_HDRLEN + GENL_HDRLEN) {
  nlmsghdr header = {};
  header.nlmsg_type = family;
  header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
  genlmsghdr generic = {};
  generic.cmd = command;
  generic.version = version;
  memcpy(bytes_.data(), &header, sizeof(header));
  memcpy(bytes_.data() + NLMSG_HDRLEN, &generic, sizeof(generic));
}

void GenlRequest::Put(uint16_t type, const void* data, size_t size) {
  const size_t at = bytes_.size();
  const nlattr header = {static_cast<uint16_t>(sizeof(nlattr) + size), type};
  bytes_.resize(at + NLA_ALIGN(sizeof(header) + size));
  memcpy(&bytes_[at], &header, sizeof(header));
  if (size > 0) memcpy(&bytes_[at + sizeof(header)], data, size);
}

size_t GenlRequest::BeginNest(uint16_t type) {
  const size_t at = bytes_.size();
  Put(type | NLA_F_NESTED, nullptr, 0);
  return at;
}

void GenlRequest::EndNest(size_t position) {
  const auto length = static_cast<uint16_t>(bytes_.size() - position);
  memcpy(&bytes_[position] + offsetof(nlattr, nla_len), &length, sizeof(length));
}

const std::vector<uint8_t>& GenlRequest::Finish(uint32_t sequence) {
  const auto length = static_cast<uint32_t>(bytes_.size());
  memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &length, sizeof(length));
  memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof(sequence));
  return bytes_;
}

int ReadAnswer(const uint8_t* datagram, size_t size, uint32_t sequence,
               std::vector<uint8_t>* answer) {
  while (size > 0) {
    nlmsghdr header;
    if (size < NLMSG_HDRLEN) return -EBADMSG;
    memcpy(&header, datagram, sizeof(header));
    if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > size) return -EBADMSG;
    const uint8_t* const payload = datagram + NLMSG_HDRLEN;
    const size_t length = header.nlmsg_len - NLMSG_HDRLEN;
    if (header.nlmsg_seq == sequence && header.nlmsg_type == NLMSG_ERROR) {
      int32_t error;
      if (length < sizeof(error)) return -EBADMSG;
      memcpy(&error, payload, sizeof(error));
      // A number that is not an errno would look like a result.
      return error <= 0 && error >= -4095 ? error : -EBADMSG;
    }
    if (header.nlmsg_seq == sequence && header.nlmsg_type >= NLMSG_MIN_TYPE) {
      if (length < GENL_HDRLEN) return -EBADMSG;
      answer->assign(payload + GENL_HDRLEN, payload + length);
    }
    const size_t step = NLMSG_ALIGN(static_cast<size_t>(header.nlmsg_len));
    if (step >= size) break;
    datagram += step;
    size -= step;
  }
  return kUnfinished;
}

GenlSocket::~GenlSocket() {
  if (fd_ >= 0) ::close(fd_);
}

int GenlSocket::Open() {
  fd_ = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  if (fd_ < 0) return -errno;
  // The kernel handles the request before sendto returns; an answer that does not arrive soon is
  // lost.
  const timeval limit = {kAnswerSeconds, 0};
  return ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0 ? 0 : -errno;
}

int GenlSocket::Resolve(const char* family) {
  GenlRequest request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, kControllerVersion);
  request.Put(CTRL_ATTR_FAMILY_NAME, family, strlen(family) + 1);
  std::vector<uint8_t> answer;
  const int result = Exchange(&request, &answer);
  if (result < 0) return result;
  uint16_t id;
  if (!FindAttribute(answer.data(), answer.size(), CTRL_ATTR_FAMILY_ID).Get(&id) ||
      id < NLMSG_MIN_TYPE) {
    return -EBADMSG;
  }
  return id;
}

int GenlSocket::Exchange(GenlRequest* request, std::vector<uint8_t>* answer) {
  const std::vector<uint8_t>& bytes = request->Finish(++sequence_);
  sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  // Not repeated after an interruption: the kernel may have started, and connected a device.
  const ssize_t sent = ::sendto(fd_, bytes.data(), bytes.size(), 0,
                                reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel));
  if (sent < 0) return -errno;
  std::vector<uint8_t> datagram(kDatagramSize);
  answer->clear();
  for (;;) {
    sockaddr_nl from = {};
    socklen_t from_size = sizeof(from);
    const ssize_t n = ::recvfrom(fd_, datagram.data(), datagram.size(), MSG_TRUNC,
                                 reinterpret_cast<sockaddr*>(&from), &from_size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN ? -ETIMEDOUT : -errno;
    // Any process may send to this socket; only the kernel has the number 0.
    if (from_size != sizeof(from) || from.nl_pid != 0) continue;
    if (static_cast<size_t>(n) > datagram.size()) return -EMSGSIZE;
    const int result = ReadAnswer(datagram.data(), static_cast<size_t>(n), sequence_, answer);
    if (result != kUnfinished) return result;
  }
}

}  // namespace overlaybd_nbd
