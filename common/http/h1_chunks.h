#pragma once
// What:      ChunkDecoder: a chunked body (RFC 9112 section 7.1) from bytes, strict and
//            incremental. No I/O.
// Owner:     a body reader, which also owns the bytes.
// Limits:    16 hex digits of size, kExtensionBytesMax of extensions per chunk, kTrailerBytesMax of
//            trailers.
// Invariant: what it hands out are bytes of the body and nothing else; extensions are checked and
//            dropped.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/error.h"
#include "common/http/h1_head.h"
#include "common/http/message.h"
#include "common/net/frame_pool.h"

namespace rouse::http {

class ChunkDecoder {
 public:
  static constexpr size_t kExtensionBytesMax = 256;
  static constexpr size_t kTrailerBytesMax = 8 * 1024;

  explicit ChunkDecoder(Side side) : side_(side), scanner_(kTrailerLimits, side) {}

  static void* operator new(size_t bytes) { return net::FramePool::Take(bytes); }
  static void operator delete(void* decoder, size_t bytes) { net::FramePool::Give(decoder, bytes); }

  enum class Step : uint8_t { kMore, kData, kEnd, kFailed };
  /// Takes from `input`: `consumed` bytes of it, and `data` where there is some. kMore: all was
  /// consumed.
  Step Next(std::string_view input, size_t& consumed, std::string_view& data);
  /// After kEnd.
  [[nodiscard]] const Trailers& trailers() const { return trailers_; }
  [[nodiscard]] const Error& error() const { return error_; }
  void Reset();

 private:
  static constexpr HeadLimits kTrailerLimits{.field_bytes_max = kTrailerBytesMax,
                                             .head_bytes_max = kTrailerBytesMax};
  enum class State : uint8_t {
    kSize,
    kExtension,
    kSizeLf,
    kData,
    kDataCr,
    kDataLf,
    kTrailers,
    kEnd
  };
  Step Fail(const char* detail);
  bool SizeByte(char c);
  bool ExtensionsValid() const;
  Step TrailerBytes(std::string_view input, size_t& consumed);

  Side side_;
  State state_ = State::kSize;
  uint64_t left_ = 0;
  int digits_ = 0;
  std::string extension_;
  std::string trailer_bytes_;
  HeadScanner scanner_;
  Trailers trailers_;
  Error error_;
};

}  // namespace rouse::http
