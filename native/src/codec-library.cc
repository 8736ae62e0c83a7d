// Finds liblz4 and libzstd. See codec-library.h. The prototypes are those of the libraries' stable
// interfaces (sonames .so.1), declared here because their headers may not be installed.
#include "codec-library.h"

#include <dlfcn.h>

#include <climits>
#include <new>

namespace overlaybd_nbd {
namespace {

// From 22 on, Node.js carries zstd of another version and exports its functions: without DEEPBIND,
// the library would call those instead of its own. The sanitizers refuse it.
#if defined(RTLD_DEEPBIND) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr int kOwnFunctions = RTLD_DEEPBIND;
#else
constexpr int kOwnFunctions = 0;
#endif

// Never closed: decoders of other threads may be in use until the process ends.
class Library {
 public:
  explicit Library(const char* soname)
      : handle_(::dlopen(soname, RTLD_NOW | RTLD_LOCAL | kOwnFunctions)) {}

  template <typename Function>
  void Find(const char* name, Function** function) {
    *function = handle_ == nullptr ? nullptr : reinterpret_cast<Function*>(::dlsym(handle_, name));
    complete_ = complete_ && *function != nullptr;
  }

  bool Complete() const { return complete_; }

 private:
  void* const handle_;
  bool complete_ = true;
};

// 1.9.3: before, LZ4_decompress_safe_partial decoded too much, or failed near the end of a block.
constexpr int kFirstExactLz4 = 10903;

struct Lz4Library {
  const char* (*version)();
  int (*number)();
  int (*decompress)(const char* from, char* to, int length, int capacity);
  int (*decompress_begin)(const char* from, char* to, int length, int wanted, int capacity);
  bool complete;

  Lz4Library() {
    Library library("liblz4.so.1");
    library.Find("LZ4_versionString", &version);
    library.Find("LZ4_versionNumber", &number);
    library.Find("LZ4_decompress_safe", &decompress);
    complete = library.Complete();
    library.Find("LZ4_decompress_safe_partial", &decompress_begin);
    if (complete && number() < kFirstExactLz4) decompress_begin = nullptr;
  }
};

// As the library declares them.
struct ZstdOut {
  void* data;
  size_t size;
  size_t position;
};
struct ZstdIn {
  const void* data;
  size_t size;
  size_t position;
};

struct ZstdLibrary {
  const char* (*version)();
  void* (*create)();
  size_t (*release)(void* context);
  size_t (*decompress)(void* context, void* to, size_t capacity, const void* from, size_t length);
  size_t (*decompress_stream)(void* context, ZstdOut* out, ZstdIn* in);
  unsigned (*is_error)(size_t code);
  bool complete;

  ZstdLibrary() {
    Library library("libzstd.so.1");
    library.Find("ZSTD_versionString", &version);
    library.Find("ZSTD_createDCtx", &create);
    library.Find("ZSTD_freeDCtx", &release);
    library.Find("ZSTD_decompressDCtx", &decompress);
    library.Find("ZSTD_decompressStream", &decompress_stream);
    library.Find("ZSTD_isError", &is_error);
    complete = library.Complete();
  }
};

const Lz4Library& Lz4() {
  static const Lz4Library library;
  return library;
}

const ZstdLibrary& Zstd() {
  static const ZstdLibrary library;
  return library;
}

class Lz4Codec : public BlockCodec {
 public:
  int64_t Decode(const uint8_t* from, size_t length, uint8_t* to, size_t capacity) override {
    if (length > INT_MAX || capacity > INT_MAX) return -1;
    return decompress_(reinterpret_cast<const char*>(from), reinterpret_cast<char*>(to),
                       static_cast<int>(length), static_cast<int>(capacity));
  }

  int64_t DecodeBegin(const uint8_t* from, size_t length, uint8_t* to, size_t wanted) override {
    if (decompress_begin_ == nullptr || length > INT_MAX || wanted > INT_MAX) return -1;
    const int size = static_cast<int>(wanted);
    return decompress_begin_(reinterpret_cast<const char*>(from), reinterpret_cast<char*>(to),
                             static_cast<int>(length), size, size);
  }

 private:
  decltype(Lz4Library::decompress) const decompress_ = Lz4().decompress;
  decltype(Lz4Library::decompress_begin) const decompress_begin_ = Lz4().decompress_begin;
};

class ZstdCodec : public BlockCodec {
 public:
  explicit ZstdCodec(void* context) : context_(context) {}
  ZstdCodec(const ZstdCodec&) = delete;
  ZstdCodec& operator=(const ZstdCodec&) = delete;
  ~ZstdCodec() override { library_.release(context_); }

  int64_t Decode(const uint8_t* from, size_t length, uint8_t* to, size_t capacity) override {
    const size_t result = library_.decompress(context_, to, capacity, from, length);
    return library_.is_error(result) != 0 ? -1 : static_cast<int64_t>(result);
  }

 private:
  const ZstdLibrary& library_ = Zstd();
  void* const context_;
};

class ZstdLibraryStream : public ZstdStream {
 public:
  explicit ZstdLibraryStream(void* context) : context_(context) {}
  ZstdLibraryStream(const ZstdLibraryStream&) = delete;
  ZstdLibraryStream& operator=(const ZstdLibraryStream&) = delete;
  ~ZstdLibraryStream() override { library_.release(context_); }

  ZstdProgress Run(const uint8_t* from, size_t length, uint8_t* to, size_t capacity) override {
    ZstdOut out{to, capacity, 0};
    ZstdIn in{from, length, 0};
    ZstdStop stop = ZstdStop::kMore;
    while (stop == ZstdStop::kMore) {
      const size_t before_in = in.position;
      const size_t before_out = out.position;
      const size_t result = library_.decompress_stream(context_, &out, &in);
      if (library_.is_error(result) != 0) stop = ZstdStop::kBadData;
      if (result == 0) stop = ZstdStop::kFrameEnd;
      if (in.position == before_in && out.position == before_out) break;
    }
    return {stop, in.position, out.position};
  }

 private:
  const ZstdLibrary& library_ = Zstd();
  void* const context_;
};

}  // namespace

std::unique_ptr<ZstdStream> ZstdStream::Make() {
  if (!Zstd().complete) return nullptr;
  void* const context = Zstd().create();
  if (context == nullptr) return nullptr;
  return std::unique_ptr<ZstdStream>(new (std::nothrow) ZstdLibraryStream(context));
}

const char* CodecVersion(Codec codec) {
  switch (codec) {
    case Codec::kLz4:
      return Lz4().complete ? Lz4().version() : nullptr;
    case Codec::kZstd:
      return Zstd().complete ? Zstd().version() : nullptr;
  }
  return nullptr;
}

bool CanDecodeBegin(Codec codec) {
  return codec == Codec::kLz4 && Lz4().complete && Lz4().decompress_begin != nullptr;
}

int64_t DecodeZstdBegin(const uint8_t* from, size_t length, uint8_t* to, size_t capacity) {
  // Not kept: a frame may demand a window of 128 MiB.
  const std::unique_ptr<ZstdStream> stream = ZstdStream::Make();
  if (stream == nullptr) return -1;
  size_t consumed = 0;
  size_t produced = 0;
  while (produced < capacity) {
    const ZstdProgress done =
        stream->Run(from + consumed, length - consumed, to + produced, capacity - produced);
    if (done.stop == ZstdStop::kBadData) return -1;
    consumed += done.consumed;
    produced += done.produced;
    if (done.stop == ZstdStop::kMore) break;
  }
  return static_cast<int64_t>(produced);
}

std::unique_ptr<BlockCodec> MakeBlockCodec(Codec codec) {
  if (CodecVersion(codec) == nullptr) return nullptr;
  if (codec == Codec::kLz4) return std::unique_ptr<BlockCodec>(new (std::nothrow) Lz4Codec);
  void* const context = Zstd().create();
  if (context == nullptr) return nullptr;
  return std::unique_ptr<BlockCodec>(new (std::nothrow) ZstdCodec(context));
}

}  // namespace overlaybd_nbd
