// The plain C++ of native/ that talks to the kernel and to other processes (netlink, descriptors,
// notification), for the sanitizers. Like shim.test.cc, and without a device.
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "../../native/src/address.h"
#include "../../native/src/descriptors.h"
#include "../../native/src/genl.h"
#include "../../native/src/nbd-ioctl.h"
#include "../../native/src/nbd-netlink.h"
#include "../../native/src/process.h"
#include "../../native/src/socket.h"
#include "check.h"

using namespace overlaybd_nbd;

namespace {

// Datagram by datagram in blocks of their exact size, so that a read past an end is seen.
void TestGenlAnswers() {
  GenlRequest request(16, 3, 1);
  const size_t list = request.BeginNest(9);
  request.PutU32(1, 7);
  request.Put(2, "\1", 1);
  request.EndNest(list);
  request.Put(10, "name", 5);
  const std::vector<uint8_t> answer = request.Finish(5);
  std::vector<uint8_t> found;
  CHECK(ReadAnswer(answer.data(), answer.size(), 5, &found) == kUnfinished);
  const Attribute nest = FindAttribute(found.data(), found.size(), 9);
  uint32_t number = 0;
  uint8_t byte = 0;
  uint16_t half = 0;
  CHECK(FindAttribute(nest, 1).Get(&number) && number == 7 && !FindAttribute(nest, 1).Get(&byte));
  CHECK(FindAttribute(nest, 2).Get(&byte) && byte == 1 && !FindAttribute(nest, 2).Get(&half));
  CHECK(FindAttribute(found.data(), found.size(), 10).size == 5);
  CHECK(FindAttribute(found.data(), found.size(), 11).data == nullptr);
  CHECK(FindAttribute(Attribute(), 1).data == nullptr && !Attribute().Get(&byte));

  std::vector<uint8_t> none;
  CHECK(ReadAnswer(answer.data(), answer.size(), 6, &none) == kUnfinished && none.empty());
  for (size_t cut = 1; cut < answer.size(); ++cut) {
    const std::vector<uint8_t> part(answer.begin(), answer.begin() + cut);
    CHECK(ReadAnswer(part.data(), part.size(), 5, &none) == -EBADMSG);
    const std::vector<uint8_t> attributes(found.begin(),
                                          found.begin() + std::min(cut, found.size()));
    FindAttribute(FindAttribute(attributes.data(), attributes.size(), 9), 2);
  }
  // Every length field with lies in it.
  for (size_t at = 0; at + 2 <= answer.size(); at += 2) {
    for (const uint16_t lie : {0, 1, 3, 4, 5, 15, 16, 17, 0x7fff, 0xffff}) {
      std::vector<uint8_t> wrong = answer;
      memcpy(&wrong[at], &lie, sizeof(lie));
      if (ReadAnswer(wrong.data(), wrong.size(), 5, &found) != kUnfinished) continue;
      FindAttribute(FindAttribute(found.data(), found.size(), 9), 2);
      FindAttribute(found.data(), found.size(), 99);
    }
  }
  for (const int32_t error : {0, -ENOENT, -4095, -4096, 1, INT32_MIN}) {
    std::vector<uint8_t> end(NLMSG_HDRLEN + sizeof(error));
    nlmsghdr header = {static_cast<uint32_t>(end.size()), NLMSG_ERROR, 0, 5, 0};
    memcpy(end.data(), &header, sizeof(header));
    memcpy(&end[NLMSG_HDRLEN], &error, sizeof(error));
    const bool valid = error <= 0 && error >= -4095;
    CHECK(ReadAnswer(end.data(), end.size(), 5, &none) == (valid ? error : -EBADMSG));
    end.resize(NLMSG_HDRLEN);
    header.nlmsg_len = NLMSG_HDRLEN;
    memcpy(end.data(), &header, sizeof(header));
    CHECK(ReadAnswer(end.data(), end.size(), 5, &none) == -EBADMSG);
  }
}

void TestGenlKernel() {
  GenlSocket socket;
  CHECK(socket.Open() == 0);
  CHECK(socket.Resolve("nlctrl") == GENL_ID_CTRL);
  CHECK(socket.Resolve("no such name") == -ENOENT);
  const int family = NbdFamily();
  CHECK(family >= NLMSG_MIN_TYPE || family == -ENOENT);
  CHECK(NbdIoctlDisconnect("/dev/null") == -ENOTTY);
}

void TestDescriptors() {
  int fds[2];
  CHECK(SocketPair(fds) == 0);
  const std::vector<int32_t> sent(kMaxDescriptors, fds[0]);
  std::vector<int32_t> received(kMaxDescriptors);
  char byte = 'x';
  CHECK(SendDescriptors(fds[0], &byte, 1, sent.data(), sent.size()) == 1);
  CHECK(RecvDescriptors(fds[1], &byte, 1, received.data(), received.size()) == 1);
  for (const int32_t fd : received) {
    CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0 && CloseDescriptor(fd) == 0);
  }
  // More than fit in our own buffer, which only another program would send.
  const std::vector<int> many(200, fds[0]);
  std::vector<char> control(CMSG_SPACE(many.size() * sizeof(int)));
  iovec bytes = {&byte, 1};
  msghdr message = {};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  *header = {CMSG_LEN(many.size() * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  memcpy(CMSG_DATA(header), many.data(), many.size() * sizeof(int));
  CHECK(sendmsg(fds[0], &message, 0) == 1);
  CHECK(RecvDescriptors(fds[1], &byte, 1, received.data(), 3) == -EMSGSIZE);
  CHECK(received[0] == -1 && received[2] == -1);
  CHECK(PeerClosed(fds[1]) == 0);
  CHECK(CloseDescriptor(fds[0]) == 0);
  CHECK(PeerClosed(fds[1]) == 1);
  CHECK(CloseDescriptor(fds[1]) == 0);
}

void TestAbstract() {
  const std::string name = "@overlaybd-nbd-shim-" + std::to_string(getpid());
  CHECK(ConnectUnix(name.data(), name.size()) == -ECONNREFUSED);
  Address address;
  CHECK(FillUnixPeer(name.data(), name.size(), &address) == 0);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(bind(listener, address.Base(), address.length) == 0 && listen(listener, 1) == 0);
  char shown[kNameSize];
  LocalName(listener, shown);
  CHECK(shown == "unix://" + name);
  const int fd = ConnectUnix(name.data(), name.size());
  CHECK(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
  for (const int each : {fd, listener}) CHECK(CloseDescriptor(each) == 0);
  const int receiver = socket(AF_UNIX, SOCK_DGRAM, 0);
  CHECK(bind(receiver, address.Base(), address.length) == 0);
  CHECK(Notify(name.data(), name.size(), "READY=1", 7) == 0);
  char text[16];
  CHECK(recv(receiver, text, sizeof(text), 0) == 7 && memcmp(text, "READY=1", 7) == 0);
  CHECK(CloseDescriptor(receiver) == 0);
  CHECK(Notify("@", 1, "x", 1) == -EINVAL);
}

}  // namespace

int main() {
  TestGenlAnswers();
  TestGenlKernel();
  TestDescriptors();
  TestAbstract();
  printf("plain C++, kernel: %d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
