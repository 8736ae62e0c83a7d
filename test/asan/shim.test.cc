// The plain C++ of native/ (sockets, files, CRC-32C, decoding) on its own, for the sanitizers. What
// needs Node is tested from test/unit/native. Prints the number of checks; exits 1 if one fails.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../../native/src/address.h"
#include "../../native/src/block-decoder.h"
#include "../../native/src/block-offsets.h"
#include "../../native/src/cache-file.h"
#include "../../native/src/cache-jobs.h"
#include "../../native/src/codec-library.h"
#include "../../native/src/crc32c-implementations.h"
#include "../../native/src/crc32c.h"
#include "../../native/src/descriptors.h"
#include "../../native/src/file-misses.h"
#include "../../native/src/file-windows.h"
#include "../../native/src/file.h"
#include "../../native/src/mount-of-path.h"
#include "../../native/src/socket.h"
#include "../../native/src/unix-listener.h"
#include "check.h"

using namespace overlaybd_nbd;

namespace {

std::vector<uint8_t> Noise(size_t length) {
  std::vector<uint8_t> bytes(length);
  uint32_t state = 1;
  for (uint8_t& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<uint8_t>(state >> 24);
  }
  return bytes;
}

uint32_t Bitwise(const uint8_t* data, size_t length, uint32_t crc) {
  for (size_t i = 0; i < length; ++i) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kCrc32cPolynomial : 0);
  }
  return crc;
}

struct Named {
  const char* name;
  Crc32cFunction function;
};

// Exactly sized heap blocks, so that a read past either end is seen.
void TestCrcImplementations() {
  const Named all[] = {{"dispatch", Crc32c},
                       {"table", Crc32cTable},
                       {"x86 serial", Crc32cX86Serial()},
                       {"x86 interleaved", Crc32cX86Interleaved()},
                       {"arm", Crc32cArm()}};
  const std::vector<uint8_t> noise = Noise(20000);
  for (const Named& one : all) {
    if (one.function == nullptr) {
      printf("crc32c: %s: not on this machine\n", one.name);
      continue;
    }
    size_t wrong = 0;
    for (size_t length = 0; length <= 4200; length += length < 300 ? 1 : 13) {
      for (size_t alignment = 0; alignment < 8; ++alignment) {
        const std::vector<uint8_t> exact(noise.begin(), noise.begin() + alignment + length);
        const uint8_t* data = exact.data() + alignment;
        if (one.function(data, length, 100007) != Bitwise(data, length, 100007)) ++wrong;
      }
    }
    CHECK(wrong == 0);
    CHECK(one.function(noise.data(), noise.size(), 0) == Bitwise(noise.data(), noise.size(), 0));
    CHECK(~one.function(reinterpret_cast<const uint8_t*>("123456789"), 9, ~0u) == 0xe3069283);
    CHECK(one.function(nullptr, 0, 5) == 5);
  }
}

// A table of exactly its size in memory of its own, so that a write past it is seen.
struct OffsetTable {
  std::vector<double> groups;
  std::vector<uint8_t> deltas;
  BlockOffsets table;

  OffsetTable(size_t count, unsigned shift, bool is_wide)
      : groups((count >> shift) + 1), deltas((count + 1) * (is_wide ? 4 : 2)) {
    table = {groups.data(), groups.size(), shift, deltas.data(), count + 1, is_wide};
  }

  uint64_t OffsetOf(size_t index) const {
    const size_t width = table.is_wide ? 4 : 2;
    uint64_t delta = 0;
    for (size_t byte = 0; byte < width; ++byte) {
      delta |= static_cast<uint64_t>(deltas[index * width + byte]) << (8 * byte);
    }
    return static_cast<uint64_t>(groups[index >> table.group_shift]) + delta;
  }
};

void TestBlockOffsets() {
  const std::vector<uint8_t> lengths = {9, 0, 0, 0, 0, 1, 0, 0, 7, 0, 0, 0, 255, 255, 255, 255};
  const LengthLimits any = {0, UINT32_MAX, UINT64_MAX};
  for (const bool is_wide : {false, true}) {
    OffsetTable made(4, 1, is_wide);
    made.groups[0] = 100;
    CHECK(AddLengths(made.table, 0, 100, lengths.data(), 2, any) == 2);
    CHECK(AddLengths(made.table, 2, 365, lengths.data() + 8, 1, any) == 1);
    CHECK(made.OffsetOf(0) == 100 && made.OffsetOf(1) == 109);
    CHECK(made.OffsetOf(2) == 365 && made.OffsetOf(3) == 372);
    CHECK(AddLengths(made.table, 3, 372, lengths.data(), 2, any) == kNoRoom);
    CHECK(AddLengths(made.table, 5, 372, lengths.data(), 0, any) == kNoRoom);
    CHECK(AddLengths(made.table, SIZE_MAX, 0, lengths.data(), SIZE_MAX, any) == kNoRoom);
    CHECK(AddLengths(made.table, 0, 100, lengths.data(), 4, {8, UINT32_MAX, UINT64_MAX}) == 2);
    CHECK(AddLengths(made.table, 0, 100, lengths.data(), 4, {0, 255, UINT64_MAX}) == 1);
    CHECK(AddLengths(made.table, 0, 100, lengths.data(), 4, {0, UINT32_MAX, 371}) == 2);
    made.table.group_count = 1;
    CHECK(AddLengths(made.table, 0, 100, lengths.data(), 2, any) == kNoRoom);
  }
}

void TestVerifyBlocks() {
  std::vector<uint8_t> data = Noise(3000);
  const std::vector<uint32_t> bounds = {10, 1014, 1018, 3000};
  for (size_t i = 0; i + 1 < bounds.size(); ++i) {
    const uint32_t crc = Bitwise(&data[bounds[i]], bounds[i + 1] - bounds[i] - 4, 7);
    for (int byte = 0; byte < 4; ++byte) {
      data[bounds[i + 1] - 4 + byte] = static_cast<uint8_t>(crc >> (8 * byte));
    }
  }
  CHECK(VerifyBlocks(data.data(), data.size(), bounds.data(), 3, 7) == kAllMatch);
  CHECK(VerifyBlocks(data.data(), data.size(), bounds.data(), 3, 8) == 0);
  CHECK(VerifyBlocks(data.data(), data.size() - 1, bounds.data(), 3, 7) == kBadBounds);
  data[1017] ^= 1;
  CHECK(VerifyBlocks(data.data(), data.size(), bounds.data(), 3, 7) == 1);
  for (const std::vector<uint32_t>& lie : std::vector<std::vector<uint32_t>>{
           {0, 3}, {5, 4}, {0, 3001}, {0xfffffff0, 0xffffffff}, {3000, 3004}}) {
    CHECK(VerifyBlocks(data.data(), data.size(), lie.data(), 1, 7) == kBadBounds);
  }
}

// Buffers are exactly as large as they must be, so that a byte too much is seen.
void TestDecode(Codec codec, const std::vector<uint8_t>& hello) {
  const std::unique_ptr<BlockCodec> decoder = MakeBlockCodec(codec);
  if (decoder == nullptr) {
    printf("codec %d: no library, not tested\n", static_cast<int>(codec));
    return;
  }
  std::vector<uint8_t> data;
  std::vector<uint32_t> bounds = {0};
  for (int block = 0; block < 2; ++block) {
    data.insert(data.end(), hello.begin(), hello.end());
    const uint32_t crc = Bitwise(hello.data(), hello.size(), 7);
    for (int byte = 0; byte < 4; ++byte) data.push_back(static_cast<uint8_t>(crc >> (8 * byte)));
    bounds.push_back(static_cast<uint32_t>(data.size()));
  }
  std::vector<uint8_t> out(10);
  BlockRun run = {data.data(), data.size(), bounds.data(), 2, true, 7, out.data(), 5, 5, 5};
  CHECK(DecodeBlocks(decoder.get(), run) == kAllDecoded);
  CHECK(memcmp(out.data(), "hellohello", 10) == 0);
  run.last_wanted = 3;
  CHECK(DecodeBlocks(decoder.get(), run) == (CanDecodeBegin(codec) ? kAllDecoded : 1));
  run.last_size = run.last_wanted = 4;
  CHECK(DecodeBlocks(decoder.get(), run) == 1);
  run.block_size = 6;
  CHECK(DecodeBlocks(decoder.get(), run) == 0);
  run.block_size = run.last_size = run.last_wanted = 5;
  run.crc_seed = 8;
  CHECK(DecodeBlocks(decoder.get(), run) == 0);
  run.crc_seed = 7;
  run.size -= 1;
  CHECK(DecodeBlocks(decoder.get(), run) == kBadRun);
  run.size += 1;
  run.count = 1;
  for (const std::vector<uint32_t>& lie :
       std::vector<std::vector<uint32_t>>{{0, 3}, {5, 4}, {0, 3001}, {0xfffffff0, 0xffffffff}}) {
    run.bounds = lie.data();
    CHECK(DecodeBlocks(decoder.get(), run) == kBadRun);
  }
  run.bounds = bounds.data();
  run.count = 2;
  run.has_crc = false;
  uint32_t state = 1;
  for (int i = 0; i < 20000; ++i) {
    state = state * 1664525 + 1013904223;
    std::vector<uint8_t> damaged = data;
    damaged[(state >> 8) % damaged.size()] = static_cast<uint8_t>(state >> 24);
    run.data = damaged.data();
    const int64_t bad = DecodeBlocks(decoder.get(), run);
    CHECK(bad >= kAllDecoded && bad < 2);
    std::vector<uint8_t> exact(5 + 2);
    run.out = exact.data();
    run.last_wanted = 2;
    const int64_t begin = DecodeBlocks(decoder.get(), run);
    CHECK(begin >= kAllDecoded && begin < 2);
    run.out = out.data();
    run.last_wanted = 5;
  }
}

void TestBlockDecoder() {
  TestDecode(Codec::kLz4, {0x50, 'h', 'e', 'l', 'l', 'o'});
  // A frame in one segment that says its size, with one raw block.
  TestDecode(Codec::kZstd, {0x28, 0xb5, 0x2f, 0xfd, 0x20, 5, 0x29, 0, 0, 'h', 'e', 'l', 'l', 'o'});
}

bool IsOn(int fd, int level, int option) {
  int value = 0;
  socklen_t size = sizeof(value);
  return getsockopt(fd, level, option, &value, &size) == 0 && value != 0;
}

bool IsPrepared(int fd) {
  return (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

void TestTcp() {
  const int listener = ListenTcp("127.0.0.1", 0, 4);
  CHECK(listener >= 0 && IsPrepared(listener) && IsOn(listener, SOL_SOCKET, SO_REUSEADDR));
  CHECK(Accept(listener) == -EAGAIN);
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(LocalPort(listener)));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(connect(client, reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0);
  const int fd = Accept(listener);
  CHECK(fd >= 0 && IsPrepared(fd));
  CHECK(IsOn(fd, IPPROTO_TCP, TCP_NODELAY) && IsOn(fd, SOL_SOCKET, SO_KEEPALIVE));
  CHECK(KeepAlive(fd, 60) == 0 && IsOn(fd, IPPROTO_TCP, TCP_NODELAY));
  const auto option = [fd](int which) {
    int value = 0;
    socklen_t size = sizeof(value);
    return getsockopt(fd, IPPROTO_TCP, which, &value, &size) == 0 ? value : -1;
  };
  CHECK(option(TCP_KEEPIDLE) == 30 && option(TCP_KEEPINTVL) == 10 && option(TCP_KEEPCNT) == 3);
  CHECK(option(TCP_USER_TIMEOUT) == 60000);
  CHECK(SetUserTimeout(fd, 600000) == 0 && option(TCP_USER_TIMEOUT) == 600000);
  CHECK(RaiseSendBuffer(fd, 65536) == 0);
  CHECK(KeepAlive(fd, 1) == 0 && option(TCP_KEEPIDLE) == 1 && option(TCP_KEEPINTVL) == 1);
  char name[kNameSize];
  Peer peer;
  CHECK(FindPeer(fd, &peer) && peer.family == AF_INET && peer.port == LocalPort(client));
  CHECK(std::string(peer.host) == "127.0.0.1");
  CHECK(!FindPeer(listener, &peer));
  LocalName(listener, name);
  CHECK(name == "tcp://127.0.0.1:" + std::to_string(LocalPort(listener)));
  CHECK(PeerUid(fd) == -EAFNOSUPPORT);
  for (const int each : {fd, client, listener}) CHECK(CloseDescriptor(each) == 0);

  const int six = ListenTcp("::1%lo", 0, 4);
  CHECK(six >= 0 ? IsOn(six, IPPROTO_IPV6, IPV6_V6ONLY) : six != -EINVAL);
  if (six >= 0) CloseDescriptor(six);
  const std::string longest(500, '1');
  for (const char* host :
       {"", "localhost", "1.2.3", "::1%", "::1%-1", "::1%99999999999", ":", longest.c_str()}) {
    CHECK(ListenTcp(host, 0, 4) == -EINVAL);
  }
}

void TestUnix() {
  char folder[] = "/tmp/overlaybd-nbd-XXXXXX";
  CHECK(mkdtemp(folder) != nullptr);
  const std::string path = std::string(folder) + "/socket";
  const int listener = ListenUnix(path.data(), path.size(), 0);
  CHECK(listener >= 0 && IsPrepared(listener));
  CHECK(ProbeUnix(path.data(), path.size()) == 0);
  CHECK(ProbeUnix(path.data(), path.size()) == 0);
  CHECK(ProbeUnix(path.data(), path.size()) == 0);  // its backlog is full by now
  CHECK(CloseDescriptor(listener) == 0);
  CHECK(ProbeUnix(path.data(), path.size()) == -ECONNREFUSED);
  unlink(path.c_str());
  const mode_t before = umask(077);
  const UnixAccess access = {0640, getuid(), getgid()};
  const int permitted = ListenUnix(path.data(), path.size(), 1, access);
  umask(before);
  struct stat status = {};
  CHECK(permitted >= 0 && IsPrepared(permitted) && stat(path.c_str(), &status) == 0);
  CHECK(status.st_mode == (S_IFSOCK | 0640u) && status.st_uid == getuid());
  char name[kNameSize];
  LocalName(permitted, name);
  CHECK(std::string(name).rfind("unix://" + path + ".", 0) == 0);
  CHECK(CloseDescriptor(permitted) == 0);
  const std::string longest(108, 'x');
  CHECK(ListenUnix(longest.data(), longest.size(), 1) == -ENAMETOOLONG);
  CHECK(ProbeUnix(longest.data(), longest.size()) == -ENAMETOOLONG);
  CHECK(ListenUnix("", 0, 1) == -EINVAL);
  unlink(path.c_str());
  rmdir(folder);
}

void TestStreams() {
  int fds[2];
  CHECK(SocketPair(fds) == 0 && IsPrepared(fds[0]) && IsPrepared(fds[1]));
  char data[8] = {};
  CHECK(Recv(fds[1], data, sizeof(data)) == -EAGAIN);
  CHECK(Send(fds[0], "abc", 3) == 3);
  CHECK(Recv(fds[1], data, sizeof(data)) == 3 && memcmp(data, "abc", 3) == 0);
  Peer peer;
  CHECK(FindPeer(fds[0], &peer) && peer.family == AF_UNIX);
  CHECK(peer.user.pid == getpid() && peer.user.uid == getuid());
  // A descriptor that another process has made blocking does not block either.
  fcntl(fds[1], F_SETFL, 0);
  CHECK(Recv(fds[1], data, sizeof(data)) == -EAGAIN);
  CHECK(Shutdown(fds[0], ShutdownHow::kWrite) == 0);
  CHECK(Recv(fds[1], data, sizeof(data)) == 0);
  CHECK(CloseDescriptor(fds[1]) == 0);
  CHECK(Send(fds[0], "abc", 3) == -EPIPE);
  CHECK(CloseDescriptor(fds[0]) == 0);
  CHECK(CloseDescriptor(fds[0]) == -EBADF);
}

// The longest names there are: of paths that fill sun_path, abstract ones, mapped and scoped
// addresses.
void TestNames() {
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un unix = {};
  unix.sun_family = AF_UNIX;
  memset(unix.sun_path + 1, 'x', sizeof(unix.sun_path) - 1);
  CHECK(bind(fd, reinterpret_cast<sockaddr*>(&unix), sizeof(unix)) == 0);
  char name[kNameSize];
  LocalName(fd, name);
  CHECK(name == "unix://@" + std::string(sizeof(unix.sun_path) - 1, 'x'));
  CHECK(AdoptListener(fd) == -EINVAL);
  CHECK(listen(fd, 1) == 0 && AdoptListener(fd) == 0 && IsPrepared(fd));
  CHECK(CloseDescriptor(fd) == 0);
  CHECK(AdoptListener(fd) == -EBADF);

  Address address;
  char text[kTcpTextSize];
  CHECK(FillTcp("::ffff:192.0.2.1", 5, &address));
  TcpText(&address, text);
  CHECK(std::string(text) == "192.0.2.1:5");
  Address scoped;
  CHECK(FillTcp("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295", 65535, &scoped));
  TcpText(&scoped, text);
  CHECK(std::string(text) == "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
  Address loopback;
  CHECK(FillTcp("fe80::1%lo", 7, &loopback));
  TcpText(&loopback, text);
  CHECK(std::string(text) == "[fe80::1%lo]:7");
  Address vsock;
  FillVsock(3, 0, &vsock);
  CHECK(vsock.Vsock()->svm_port == VMADDR_PORT_ANY && vsock.Vsock()->svm_cid == 3);
}

void TestVsock() {
  const int fd = ListenVsock(VMADDR_CID_ANY, 0, 1);
  CHECK(fd >= 0 ? IsPrepared(fd) && LocalPort(fd) > 0 : fd == -EAFNOSUPPORT);
  if (fd >= 0) CloseDescriptor(fd);
}

void TestTakeStandard() {
  int fds[2];
  CHECK(SocketPair(fds) == 0);
  const int taken = TakeStandard(fds[0]);
  CHECK(taken > STDERR_FILENO && (fcntl(taken, F_GETFD) & FD_CLOEXEC) != 0);
  char byte = 0;
  CHECK(Send(taken, "x", 1) == 1 && Recv(fds[1], &byte, 1) == 1);
  CHECK(CloseDescriptor(taken) == 0 && Recv(fds[1], &byte, 1) == 0);
  for (const int each : fds) CHECK(CloseDescriptor(each) == 0);
  CHECK(TakeStandard(fds[0]) == -EBADF);
}

void TestAccounts() {}

void TestFile() {
  char path[] = "/tmp/overlaybd-nbd-XXXXXX";
  const int fd = mkstemp(path);
  unlink(path);
  const std::vector<uint8_t> noise = Noise(100000);
  CHECK(write(fd, noise.data(), noise.size()) == 100000);
  std::vector<uint8_t> into(100000);
  CHECK(PreadFull(fd, into.data(), into.size(), 0) == 100000 && into == noise);
  CHECK(PreadFull(fd, into.data(), 500, 99900) == 100);
  CHECK(PreadFull(fd, into.data(), 0, 0) == 0);
  const ssize_t n = PreadNoWait(fd, into.data(), 500, 99900);
  CHECK(n == 100 || n == -EOPNOTSUPP || n == -EAGAIN);
  CHECK(FileSize(fd) == 100000);
  CHECK(SeekData(fd, 5) == 5 && SeekHole(fd, 5) == 100000);
  CHECK(SeekData(fd, 100000) == -ENXIO && SeekHole(fd, 100001) == -ENXIO);
  CHECK(WillNeed(fd, 0, 0) == 0);
  CHECK(CloseDescriptor(fd) == 0);
  CHECK(PreadFull(fd, into.data(), 1, 0) == -EBADF);
}

}  // namespace

void TestWindows() {
  FileWindows& windows = FileWindows::Instance();
  constexpr int kFd = 77;
  const std::vector<uint8_t> kept(FileWindows::kWindow, 0x5a);
  std::vector<uint8_t> data(100);
  const auto now = FileWindows::Clock::now();
  CHECK(windows.Read(kFd, data.data(), data.size(), 50, now) == -EAGAIN);
  windows.Keep(kFd, 0, kept.data(), kept.size(), now);
  CHECK(windows.Read(kFd, data.data(), data.size(), 50, now) == 100 && data[99] == 0x5a);
  CHECK(windows.Read(kFd, data.data(), data.size(), kept.size() - 40, now) == 40);
  const auto last = now + FileWindows::kMaxAge;
  CHECK(windows.Read(kFd, data.data(), data.size(), 50, last) == 100);
  // It may have been repaired since.
  const auto later = last + std::chrono::milliseconds(1);
  CHECK(windows.Read(kFd, data.data(), data.size(), 50, later) == -EAGAIN);
  windows.Keep(kFd, 0, kept.data(), kept.size(), later);
  CHECK(windows.Read(kFd, data.data(), data.size(), 50, later) == 100);
  windows.Forget(kFd);
  CHECK(windows.Read(kFd, data.data(), data.size(), 50, later) == -EAGAIN);
  // Bytes that were read before the file changed come too late.
  std::atomic<uint32_t> changes{3};
  windows.Keep(kFd, 0, kept.data(), kept.size(), later, {&changes, 2});
  CHECK(windows.Read(kFd, data.data(), data.size(), 50, later) == -EAGAIN);
  windows.Keep(kFd, 0, kept.data(), kept.size(), later, {&changes, 3});
  CHECK(windows.Read(kFd, data.data(), data.size(), 50, later) == 100);
  windows.Forget(kFd);
}

void TestMisses() {
  FileMisses misses;
  constexpr uint64_t kRegion = FileMisses::kRegion;
  for (const uint64_t region : {uint64_t{0}, uint64_t{5}, uint64_t{1} << 40}) {
    const uint64_t begin = region * kRegion;
    CHECK(!misses.Note(begin, 4096));
    CHECK(misses.Note(begin + kRegion - 1, 1));
    // Once is enough.
    CHECK(!misses.Note(begin + 4096, 4096));
    // The kernel reads ahead of long reads.
    CHECK(!misses.Note(begin + kRegion, kRegion));
    CHECK(!misses.Note(begin + kRegion, 4096));
  }
  // Another region has taken the place.
  CHECK(!misses.Note((5 + FileMisses::kRegions) * kRegion, 4096));
  CHECK(!misses.Note(5 * kRegion, 4096));
  CHECK(misses.Note(5 * kRegion, 4096));
}

int TemporaryFile() {
  char path[] = "/tmp/overlaybd-nbd-asan-XXXXXX";
  const int fd = ::mkstemp(path);
  ::unlink(path);
  return fd;
}

void TestCacheJobs() {
  const std::vector<uint8_t> noise = Noise(100000);
  const int data = TemporaryFile();
  const int state = TemporaryFile();
  FileJobRequest store;
  store.kind = FileJobKind::kCacheStore;
  store.fd = data;
  store.position = 50000;
  store.bytes = noise;
  store.record = {1, 2, 3, 4, 5, 6, 7, 8};
  store.record_position = 16;
  store.second = OwnedDescriptor(::dup(state));
  CHECK(StoreChunk(store) == 0);
  CHECK(FileSize(data) == 150000 && FileSize(state) == 24);
  FileJobRequest check;
  check.fd = data;
  check.position = 50000;
  check.length = 100000;
  check.seed = 9;
  CHECK(ChecksumRange(check) == Bitwise(noise.data(), noise.size(), 9));
  check.length = 100001;
  CHECK(ChecksumRange(check) == -ENODATA);
  // A file in /tmp may lie where no hole can be punched.
  store.length = 100000;
  store.record.assign(8, 0);
  const int punched = PunchRange(store);
  CHECK(punched == 0 || punched == -EOPNOTSUPP);
  std::vector<uint8_t> record(8, 1);
  CHECK(PreadFull(state, record.data(), 8, 16) == 8 && record == std::vector<uint8_t>(8, 0));
  store.fd = -1;
  CHECK(StoreChunk(store) == -EBADF);

  CHECK(LockRange(state, 8, 8, RangeLock::kExclusive) == 0);
  char link[64];
  snprintf(link, sizeof(link), "/proc/self/fd/%d", state);
  const int other = ::open(link, O_RDWR | O_CLOEXEC);
  CHECK(LockRange(other, 8, 8, RangeLock::kShared) == -EAGAIN);
  CHECK(LockRange(state, 8, 8, RangeLock::kNone) == 0);
  CHECK(LockRange(other, 8, 8, RangeLock::kShared) == 0);
  const int memory = MakeMemoryFile("test", 5000);
  CHECK(ReadAtHand(memory, record.data(), 8, 4992) == 8);
  ForgetFile(memory);
  for (const int fd : {data, state, other, memory}) CHECK(CloseDescriptor(fd) == 0);

  FileJobRequest open;
  open.path = "/tmp/overlaybd-nbd-asan-cache";
  open.length = 5000;
  open.create = true;
  FileJobOutcome outcome;
  const int made = OpenCacheFile(open, &outcome);
  CHECK(made >= 0 && outcome.values == std::vector<double>({5000, 1}));
  CHECK(outcome.entry != nullptr);
  outcome.entry.reset();
  ::close(made);
  ::unlink(open.path.c_str());
  open.create = false;
  CHECK(OpenCacheFile(open, &outcome) == -ENOENT);
  open.path = "/tmp";
  CHECK(OpenCacheFile(open, &outcome) == -EISDIR);
}

void TestMountOfPath() {
  const int64_t root = MountOfPath("/");
  if (root == -ENOSYS || root == -EINVAL) return;  // before Linux 5.12
  CHECK(root >= 0);
  // What is not there, or cannot be, is where its folder is.
  CHECK(MountOfPath("/no-such-file") == root);
  CHECK(MountOfPath("//no-such/folder/") == root);
  CHECK(MountOfPath("/" + std::string(5000, 'x')) == root);
  CHECK(MountOfPath("/proc/self/no-such-file") == MountOfPath("/proc"));
  CHECK(MountOfPath("/proc") != root);
  CHECK(MountOfPath("no-such-file") == MountOfPath("."));
  CHECK(MountOfPath("") == MountOfPath("."));
}

int main() {
  signal(SIGPIPE, SIG_DFL);
  TestCrcImplementations();
  TestBlockOffsets();
  TestVerifyBlocks();
  TestBlockDecoder();
  TestTcp();
  TestUnix();
  TestStreams();
  TestNames();
  TestVsock();
  TestTakeStandard();
  TestAccounts();
  TestFile();
  TestWindows();
  TestMisses();
  TestCacheJobs();
  TestMountOfPath();
  printf("plain C++: %d checks, %d failed\n", checks, failures);
  return failures == 0 ? 0 : 1;
}
