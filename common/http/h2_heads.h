#pragma once
// What:   heads between HTTP/2's form and message.h: validated on the way in as HTTP/1's are, so
//         that nothing above can tell them apart (security.md 2.3 H01-H18); canonical on the way
//         out.
// Owner:  the streams; pure functions.
// Limits: HeadLimits. What comes in is copied once, to its exact size (H2HeadBytes).
// Never:  lets a byte pass that HTTP/1's parser would have refused.

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/error.h"
#include "common/base/random.h"
#include "common/http/h1_head.h"
#include "common/http/h2_codec.h"
#include "common/http/message.h"

namespace rouse::http {

/// The bytes of one head; pooled where it is as small as usual.
class H2HeadBytes {
 public:
  H2HeadBytes() = default;
  H2HeadBytes(H2HeadBytes&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  H2HeadBytes& operator=(H2HeadBytes&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~H2HeadBytes();

  /// Room for so many bytes, in place of what was there.
  [[nodiscard]] std::span<char> Take(size_t size);
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] char* data() const { return data_; }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

/// A request out of a block. An error is the client's, and is to be answered; `head` then holds
/// what was understood. An extended CONNECT (RFC 8441) becomes what HTTP/1 would have said: a GET
/// with `upgrade`, and a Sec-WebSocket-Key of ours.
[[nodiscard]] Error ReadRequest(const H2Block& block, const HeadLimits& limits,
                                std::string_view scheme, Random& random, H2HeadBytes& bytes,
                                RequestHead& head);

/// The head of a request that waits, in as few bytes as it takes; and the head out of them again,
/// which lies in `packed`. The scheme is the caller's.
[[nodiscard]] H2HeadBytes PackRequest(const RequestHead& head);
void UnpackRequest(H2HeadBytes& packed, std::string_view scheme, RequestHead& head);

/// A response head, also of a 1xx. `to_head`: the request was HEAD. `accept`, where not empty, is
/// added as Sec-WebSocket-Accept. An error is the pod's.
[[nodiscard]] Error ReadResponse(const H2Block& block, bool to_head, std::string_view accept,
                                 H2HeadBytes& bytes, ResponseHead& head);

void ReadTrailers(const H2Block& block, H2HeadBytes& bytes, Trailers& trailers);

/// A list of fields to send, with room for the text that is made for it.
class H2FieldList {
 public:
  /// `room` is for names in lower case and numbers: the shard's scratch.
  explicit H2FieldList(std::span<char> room) : room_(room) {}
  [[nodiscard]] std::span<const H2Field> fields() const { return {fields_.data(), fields_.size()}; }
  /// Something did not fit.
  [[nodiscard]] bool full() const { return full_; }

  void Add(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }
  void AddUnindexed(std::string_view name, std::string_view value) {
    fields_.push_back({name, value, false});
  }
  [[nodiscard]] std::string_view Number(uint64_t number);
  [[nodiscard]] std::string_view Lower(std::string_view name);

 private:
  std::span<char> room_;
  absl::InlinedVector<H2Field, 40> fields_;
  bool full_ = false;
};

/// `connect`: as an extended CONNECT, where the head asks for an upgrade.
void WriteRequest(const RequestHead& head, const HeadPatch& patch, H2FieldList& list);
/// `length_told`: the body's length is said although no body follows (HEAD, 304). A 101 becomes
/// the 200 of an extended CONNECT.
void WriteResponse(const ResponseHead& head, const HeadPatch& patch, bool to_head,
                   H2FieldList& list);
void WriteTrailers(const Trailers& trailers, H2FieldList& list);

}  // namespace rouse::http
