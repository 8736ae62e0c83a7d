// See inflater.h. The prototypes are those of zlib's stable interface, declared here because its
// header may not be installed; the functions are those that the process has anyway.
#include "inflater.h"

#include <dlfcn.h>

#include <algorithm>
#include <climits>
#include <new>

namespace overlaybd_nbd {
namespace {

constexpr int kGzip = 15 + 16;
constexpr int kNoFlush = 0;
constexpr int kToBlock = 5;
constexpr int kOk = 0;
constexpr int kStreamEnd = 1;
constexpr int kMemoryError = -4;
constexpr int kBufferError = -5;
constexpr int kUnusedBits = 7;
constexpr int kAtBlock = 128;
constexpr int kAfterLastBlock = 64;

struct Stream {
  const uint8_t* next_in;
  unsigned avail_in;
  unsigned long total_in;
  uint8_t* next_out;
  unsigned avail_out;
  unsigned long total_out;
  const char* message;
  void* state;
  void* (*allocate)(void*, unsigned, unsigned);
  void (*release)(void*, void*);
  void* opaque;
  int data_type;
  unsigned long adler;
  unsigned long reserved;
};

struct Zlib {
  const char* (*version)();
  int (*init)(Stream* stream, int bits, const char* version, int size);
  int (*inflate)(Stream* stream, int flush);
  int (*reset)(Stream* stream);
  int (*window)(Stream* stream, uint8_t* to, unsigned* length);
  int (*end)(Stream* stream);
  bool complete = true;

  Zlib() {
    Find("zlibVersion", &version);
    Find("inflateInit2_", &init);
    Find("inflate", &inflate);
    Find("inflateReset", &reset);
    Find("inflateGetDictionary", &window);
    Find("inflateEnd", &end);
  }

  template <typename Function>
  void Find(const char* name, Function** function) {
    *function = reinterpret_cast<Function*>(::dlsym(RTLD_DEFAULT, name));
    complete = complete && *function != nullptr;
  }
};

const Zlib& Library() {
  static const Zlib zlib;
  return zlib;
}

class ZlibInflater : public Inflater {
 public:
  ~ZlibInflater() override {
    if (is_open_) Library().end(&stream_);
  }

  bool Open() {
    const Zlib& zlib = Library();
    is_open_ = zlib.init(&stream_, kGzip, zlib.version(), sizeof(stream_)) == kOk;
    return is_open_;
  }

  InflateProgress Run(const uint8_t* in, size_t in_size, uint8_t* out, size_t out_size,
                      bool to_block) override {
    if (has_ended_) {
      Library().reset(&stream_);
      has_ended_ = false;
    }
    stream_.next_in = in;
    stream_.avail_in = static_cast<unsigned>(std::min<size_t>(in_size, UINT_MAX));
    stream_.next_out = out;
    stream_.avail_out = static_cast<unsigned>(std::min<size_t>(out_size, UINT_MAX));
    const int result = Library().inflate(&stream_, to_block ? kToBlock : kNoFlush);
    has_ended_ = result == kStreamEnd;
    InflateProgress progress;
    progress.stop = StopOf(result);
    progress.consumed = static_cast<size_t>(stream_.next_in - in);
    progress.produced = static_cast<size_t>(stream_.next_out - out);
    progress.at_block = (stream_.data_type & (kAtBlock | kAfterLastBlock)) == kAtBlock;
    progress.unused_bits = static_cast<unsigned>(stream_.data_type & kUnusedBits);
    return progress;
  }

  size_t Window(uint8_t* to) override {
    unsigned length = 0;
    return Library().window(&stream_, to, &length) == kOk ? length : 0;
  }

 private:
  static InflateProgress::Stop StopOf(int result) {
    switch (result) {
      case kOk:
      // No input, or no room for output.
      case kBufferError:
        return InflateProgress::Stop::kMore;
      case kStreamEnd:
        return InflateProgress::Stop::kMemberEnd;
      case kMemoryError:
        return InflateProgress::Stop::kNoMemory;
      default:
        return InflateProgress::Stop::kBadData;
    }
  }

  Stream stream_{};
  bool is_open_ = false;
  bool has_ended_ = false;
};

}  // namespace

std::unique_ptr<Inflater> Inflater::Make() {
  if (!Library().complete) return nullptr;
  std::unique_ptr<ZlibInflater> made(new (std::nothrow) ZlibInflater);
  if (made == nullptr || !made->Open()) return nullptr;
  return made;
}

}  // namespace overlaybd_nbd
