// What nghttp2 calls, and the submits that give it something to call for.

#include <algorithm>
#include <array>
#include <utility>

#include <nghttp2/nghttp2.h>

#include "common/base/check.h"
#include "common/http/h2_codec.h"

namespace rouse::http {
namespace {

constexpr size_t kFieldsInline = 64;
/// What one DATA frame makes plausible.
constexpr double kWindowUpdatesPerData = 10;

std::string_view View(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

nghttp2_nv ToNv(const H2Field& field) {
  auto* const name = reinterpret_cast<uint8_t*>(const_cast<char*>(field.name.data()));
  auto* const value = reinterpret_cast<uint8_t*>(const_cast<char*>(field.value.data()));
  // Packed before the submit returns: nothing need be copied.
  uint8_t flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE;
  if (!field.indexed) flags |= NGHTTP2_NV_FLAG_NO_INDEX;
  return {name, value, field.name.size(), field.value.size(), flags};
}

/// The fields in nghttp2's form; on the stack where they are as few as usual.
class Nvs {
 public:
  explicit Nvs(std::span<const H2Field> fields) : size_(fields.size()) {
    if (size_ > inline_.size()) more_.resize(size_);
    data_ = more_.empty() ? inline_.data() : more_.data();
    std::transform(fields.begin(), fields.end(), data_, &ToNv);
  }
  [[nodiscard]] const nghttp2_nv* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  size_t size_;
  nghttp2_nv* data_ = nullptr;
  std::array<nghttp2_nv, kFieldsInline> inline_;
  std::vector<nghttp2_nv> more_;
};

H2Codec& CodecOf(void* user) { return *static_cast<H2Codec*>(user); }

}  // namespace

/// What nghttp2 calls; everything it tells goes through here.
struct H2Callbacks {
  static H2Stream* StreamOf(nghttp2_session* session, int32_t id) {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
  }

  static ssize_t Send(nghttp2_session*, const uint8_t* data, size_t size, int, void* user) {
    CodecOf(user).output_.append(View(data, size));
    return static_cast<ssize_t>(size);
  }

  static ssize_t Pull(nghttp2_session*, int32_t, uint8_t*, size_t most, uint32_t* flags,
                      nghttp2_data_source* source, void* user) {
    auto& outgoing = *static_cast<H2Outgoing*>(source->ptr);
    if (outgoing.data.empty() && !outgoing.end) return NGHTTP2_ERR_DEFERRED;
    outgoing.starved = CodecOf(user).output().size() >= H2Codec::kOutputHigh;
    if (outgoing.starved) {
      CodecOf(user).starved_ = true;
      return NGHTTP2_ERR_DEFERRED;
    }
    const size_t bytes = std::min(most, outgoing.data.size());
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (outgoing.end && bytes == outgoing.data.size()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (bytes == 0) Packed(outgoing, CodecOf(user));
    }
    return static_cast<ssize_t>(bytes);
  }

  static void Packed(H2Outgoing& outgoing, H2Codec& codec) { codec.events_.OnPacked(outgoing); }

  static int SendData(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t size,
                      nghttp2_data_source* source, void* user) {
    H2Codec& codec = CodecOf(user);
    auto& outgoing = *static_cast<H2Outgoing*>(source->ptr);
    codec.output_.append(View(head, H2Codec::kFrameHead));
    codec.output_.append(outgoing.data.substr(0, size));
    outgoing.data.remove_prefix(size);
    codec.window_updates_.Give(kWindowUpdatesPerData);
    codec.pings_.Give(1);
    if (outgoing.data.empty() && size > 0) Packed(outgoing, codec);
    return 0;
  }

  static int BeginFrame(nghttp2_session* session, const nghttp2_frame_hd* hd, void* user) {
    H2Codec& codec = CodecOf(user);
    const bool known =
        hd->stream_id == 0 || nghttp2_session_find_stream(session, hd->stream_id) != nullptr;
    if (hd->type == NGHTTP2_HEADERS) {
      codec.block_since_ = codec.now_;
      if (codec.role_ == H2Codec::Role::kServer && !known) codec.SeeNewStream(hd->stream_id);
    } else if (hd->type == NGHTTP2_PRIORITY || (!known && hd->type != NGHTTP2_CONTINUATION)) {
      codec.CountGlitch();
    }
    return 0;
  }

  static int BeginBlock(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Codec& codec = CodecOf(user);
    codec.bytes_.clear();
    codec.fields_.clear();
    codec.block_size_ = codec.block_fields_ = 0;
    codec.block_too_large_ = false;
    const bool request =
        frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (!request || codec.events_.MayBegin()) return 0;
    codec.block_since_ = kNever;  // nothing waits for the rest of it
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                              NGHTTP2_REFUSED_STREAM);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int Header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size,
                    const uint8_t* value, size_t value_size, uint8_t, void* user) {
    CodecOf(user).Collect(View(name, name_size), View(value, value_size));
    return 0;
  }

  /// nghttp2 alone would drop the field and go on (security.md 2.1 b).
  static int InvalidHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t*,
                           size_t, const uint8_t*, size_t, uint8_t, void* user) {
    CodecOf(user).CountGlitch();
    CodecOf(user).block_since_ = kNever;
    nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                              NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static void Block(nghttp2_session* session, const nghttp2_frame* frame, H2Codec& codec) {
    codec.block_since_ = kNever;
    H2Block block{.bytes = codec.bytes_,
                  .fields = codec.fields_,
                  .end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0,
                  .too_large = codec.block_too_large_};
    const int32_t id = frame->hd.stream_id;
    H2Stream* const stream = StreamOf(session, id);
    const bool request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    if (block.too_large && codec.role_ == H2Codec::Role::kServer && ++codec.large_heads_ > 1)
      return codec.Terminate(H2Code::kEnhanceYourCalm);
    if (stream == nullptr && !request) return;
    H2Stream* const owner = codec.events_.OnBlock(id, stream, block);
    if (request) nghttp2_session_set_stream_user_data(session, id, owner);
    if (!request && block.end && owner != nullptr) codec.events_.OnEnd(*owner);
  }

  static int Frame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
    H2Codec& codec = CodecOf(user);
    const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    const bool ack = (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS:
        Block(session, frame, codec);
        break;
      case NGHTTP2_DATA:
        // One byte at a time is as good as none.
        if (!end && frame->hd.length <= 1) codec.Count(codec.empty_frames_);
        codec.window_updates_.Give(1);
        codec.pings_.Give(1);
        if (end) {
          H2Stream* const stream = StreamOf(session, frame->hd.stream_id);
          if (stream != nullptr) codec.events_.OnEnd(*stream);
        }
        break;
      case NGHTTP2_RST_STREAM:
        codec.RememberReset(frame->hd.stream_id);
        codec.Count(codec.resets_);
        break;
      case NGHTTP2_SETTINGS:
        codec.settings_acked_ = codec.settings_acked_ || ack;
        if (!ack) codec.Count(codec.settings_);
        if (!ack) codec.events_.OnSettings();
        break;
      case NGHTTP2_PING:
        codec.notice_acked_ = codec.notice_acked_ || ack;
        if (!ack) codec.Count(codec.pings_);
        break;
      case NGHTTP2_WINDOW_UPDATE:
        codec.Count(codec.window_updates_);
        break;
      case NGHTTP2_GOAWAY:
        codec.events_.OnGoAway();
        break;
      default:
        break;
    }
    return 0;
  }

  static int InvalidFrame(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
    H2Codec& codec = CodecOf(user);
    if (frame->hd.type == NGHTTP2_HEADERS) codec.block_since_ = kNever;
    codec.CountGlitch();
    return 0;
  }

  static int Data(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t size,
                  void* user) {
    H2Stream* const stream = StreamOf(session, id);
    if (stream == nullptr) {
      nghttp2_session_consume(session, id, size);
      return 0;
    }
    nghttp2_session_consume_connection(session, size);
    CodecOf(user).events_.OnData(*stream, View(data, size));
    return 0;
  }

  static int Closed(nghttp2_session* session, int32_t id, uint32_t code, void* user) {
    H2Stream* const stream = StreamOf(session, id);
    if (code != NGHTTP2_NO_ERROR) CodecOf(user).RememberReset(id);
    if (stream != nullptr) CodecOf(user).events_.OnClosed(*stream, static_cast<H2Code>(code));
    return 0;
  }

  static nghttp2_session_callbacks* All() {
    nghttp2_session_callbacks* all = nullptr;
    CHECK(nghttp2_session_callbacks_new(&all) == 0);
    nghttp2_session_callbacks_set_send_callback(all, &Send);
    nghttp2_session_callbacks_set_send_data_callback(all, &SendData);
    nghttp2_session_callbacks_set_on_begin_frame_callback(all, &BeginFrame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(all, &BeginBlock);
    nghttp2_session_callbacks_set_on_header_callback(all, &Header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(all, &InvalidHeader);
    nghttp2_session_callbacks_set_on_frame_recv_callback(all, &Frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(all, &InvalidFrame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all, &Data);
    nghttp2_session_callbacks_set_on_stream_close_callback(all, &Closed);
    return all;
  }
};

const nghttp2_session_callbacks* H2Codec::Callbacks() {
  static const nghttp2_session_callbacks* const all = H2Callbacks::All();
  return all;
}

namespace {

nghttp2_data_provider ProviderOf(H2Outgoing* more) {
  nghttp2_data_provider provider{};
  provider.source.ptr = more;
  provider.read_callback = &H2Callbacks::Pull;
  if (more != nullptr) more->asked = true;
  return provider;
}

}  // namespace

bool H2Codec::SubmitResponse(int32_t id, std::span<const H2Field> fields, H2Outgoing* more) {
  const Nvs nvs(fields);
  const nghttp2_data_provider provider = ProviderOf(more);
  return nghttp2_submit_response(session_.get(), id, nvs.data(), nvs.size(),
                                 more != nullptr ? &provider : nullptr) == 0 &&
         Pack();
}

bool H2Codec::SubmitInformational(int32_t id, std::span<const H2Field> fields) {
  const Nvs nvs(fields);
  return nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, id, nullptr, nvs.data(),
                                nvs.size(), nullptr) == 0 &&
         Pack();
}

int32_t H2Codec::SubmitRequest(std::span<const H2Field> fields, H2Outgoing* more,
                               H2Stream& stream) {
  const Nvs nvs(fields);
  int32_t id = kNoStream;
  if (more != nullptr && more->data.empty() && !more->end) {
    id = nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, -1, nullptr, nvs.data(),
                                nvs.size(), &stream);
  } else {
    const nghttp2_data_provider provider = ProviderOf(more);
    id = nghttp2_submit_request(session_.get(), nullptr, nvs.data(), nvs.size(),
                                more != nullptr ? &provider : nullptr, &stream);
  }
  // It must have gone out at once: nothing of it was copied.
  const bool went = id > 0 && Pack() && nghttp2_session_find_stream(session_.get(), id) != nullptr;
  return went ? id : kNoStream;
}

bool H2Codec::Resume(int32_t id, H2Outgoing& more) {
  // Where it is not deferred, or the stream is already gone, there is nothing to resume.
  if (more.asked) {
    (void)nghttp2_session_resume_data(session_.get(), id);
  } else {
    const nghttp2_data_provider provider = ProviderOf(&more);
    (void)nghttp2_submit_data(session_.get(), NGHTTP2_FLAG_END_STREAM, id, &provider);
  }
  return Pack();
}

bool H2Codec::SubmitTrailers(int32_t id, std::span<const H2Field> fields) {
  const Nvs nvs(fields);
  return nghttp2_submit_trailer(session_.get(), id, nvs.data(), nvs.size()) == 0 && Pack();
}

}  // namespace rouse::http
