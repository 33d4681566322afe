#pragma once
// What:      JsonStream cuts a watch's body into JSON documents, however the bytes were split or
//            joined.
// Owner:     one per watch; pure, no I/O. Control thread.
// Limits:    JsonStreamLimits: bytes and depth of one document.
// Invariant: a document is handed out exactly once, in order; after an error nothing more is.
// Never:     validates what is inside a document; its decoder does.

#include <cstddef>
#include <string>
#include <string_view>

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>

namespace rouse::k8s {

struct JsonStreamLimits {
  size_t document_bytes_max = 16 << 20;
  size_t depth_max = 64;
};

class JsonStream {
 public:
  /// Takes one whole document; returns false to stop reading (the rest is dropped).
  using OnDocument = absl::AnyInvocable<bool(std::string_view document)>;

  explicit JsonStream(JsonStreamLimits limits = {}) : limits_(limits) {}

  /// Hands every document that `data` completes to `on_document`. kResourceExhausted beyond a
  /// limit, kInvalidArgument where bytes cannot be JSON; the stream is unusable afterwards.
  absl::Status Feed(std::string_view data, OnDocument& on_document);

  /// At the end of the body: an error where a document was left incomplete.
  [[nodiscard]] absl::Status Finish() const;

 private:
  enum class Step : unsigned char { kMore, kComplete, kBroken };
  Step Take(char c);
  Step Break(const char* why);
  absl::Status TooLarge();

  JsonStreamLimits limits_;
  std::string pending_;  ///< the start of a document that is not complete
  std::string closers_;  ///< the closing brackets that are due, innermost last
  bool in_string_ = false;
  bool escaped_ = false;
  absl::Status failure_;
};

}  // namespace rouse::k8s
