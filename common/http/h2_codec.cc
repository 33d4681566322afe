#include "common/http/h2_codec.h"

#include <algorithm>
#include <utility>

#include <nghttp2/nghttp2.h>

#include "common/base/check.h"

namespace rouse::http {
namespace {

/// RFC 9113 section 6.5.2: what a field costs beyond its text.
constexpr size_t kFieldOverhead = 32;
constexpr uint32_t kHpackTableBytes = 4096;

nghttp2_option* OptionsOf(const H2Limits& limits) {
  nghttp2_option* options = nullptr;
  CHECK(nghttp2_option_new(&options) == 0);
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_option_set_no_closed_streams(options, 1);
  nghttp2_option_set_max_deflate_dynamic_table_size(options, kHpackTableBytes);
  nghttp2_option_set_max_continuations(options, limits.continuations_max);
  nghttp2_option_set_max_outbound_ack(options, size_t{2} * limits.pings_max);
  // Ours comes first, and says ENHANCE_YOUR_CALM.
  nghttp2_option_set_stream_reset_rate_limit(options, UINT32_MAX, UINT32_MAX);
  return options;
}

}  // namespace

void H2Codec::SessionDeleter::operator()(nghttp2_session* session) const {
  nghttp2_session_del(session);
}

H2Codec::H2Codec(Role role, const H2Limits& limits, const HeadLimits& head, Events& events)
    : role_(role),
      limits_(limits),
      head_(head),
      events_(events),
      resets_(limits.resets_max),
      pings_(limits.pings_max),
      settings_(limits.settings_max),
      window_updates_(limits.window_updates_max),
      empty_frames_(limits.empty_frames_max),
      glitches_(limits.glitches_max) {
  const nghttp2_session_callbacks* const callbacks = Callbacks();
  const bool server = role == Role::kServer;
  if (server) skip_ = NGHTTP2_CLIENT_MAGIC_LEN;
  nghttp2_option* const options = OptionsOf(limits);
  nghttp2_session* session = nullptr;
  CHECK((server ? nghttp2_session_server_new2(&session, callbacks, this, options)
                : nghttp2_session_client_new2(&session, callbacks, this, options)) == 0);
  nghttp2_option_del(options);
  session_.reset(session);
  const auto header_list = static_cast<uint32_t>(head.head_bytes_max);
  const nghttp2_settings_entry as_server[] = {
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams_max},
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.window_parked},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, header_list},
      {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}};
  const nghttp2_settings_entry as_client[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                              {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.window},
                                              {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, header_list}};
  const int submitted =
      server ? nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, as_server, std::size(as_server))
             : nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, as_client, std::size(as_client));
  CHECK(submitted == 0);
  nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                        static_cast<int32_t>(limits.window_connection));
}

H2Codec::~H2Codec() = default;

bool H2Codec::Receive(std::string_view bytes, TimePoint now) {
  now_ = now;
  if (role_ == Role::kClient) return Feed(bytes);
  while (!bytes.empty()) {
    const size_t sure = FindDoubtful(bytes);
    if (!Feed(bytes.substr(0, sure))) return false;
    bytes.remove_prefix(sure);
    if (doubtful_ != 0 && IsOver(doubtful_)) SeeLate(doubtful_, false);
    doubtful_ = 0;
  }
  return true;
}

bool H2Codec::Feed(std::string_view bytes) {
  const auto* const data = reinterpret_cast<const uint8_t*>(bytes.data());
  const ssize_t taken = nghttp2_session_mem_recv(session_.get(), data, bytes.size());
  // Too many CONTINUATIONs, too many acknowledgements that are not taken: nghttp2 only says so.
  if (taken < 0 && taken != NGHTTP2_ERR_BAD_CLIENT_MAGIC) Terminate(H2Code::kEnhanceYourCalm);
  return taken == static_cast<ssize_t>(bytes.size());
}

/// nghttp2 ignores frames of unknown types and DATA for a stream that is over, and tells nobody.
/// So frames are counted off here too: returns where the head of a DATA frame ends whose stream is
/// not known as things stand (doubtful_ says which), where things change for what follows (the end
/// of a RST_STREAM), or bytes.size().
size_t H2Codec::FindDoubtful(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    const size_t skipped = std::min(skip_, bytes.size() - at);
    skip_ -= skipped;
    at += skipped;
    if (at == bytes.size() || (skip_ == 0 && std::exchange(in_reset_, false))) return at;
    const size_t part = std::min(kFrameHead - frame_head_.size(), bytes.size() - at);
    frame_head_.append(bytes.substr(at, part));
    at += part;
    if (frame_head_.size() < kFrameHead) break;
    const auto* const head = reinterpret_cast<const uint8_t*>(frame_head_.data());
    skip_ = size_t{head[0]} << 16 | size_t{head[1]} << 8 | head[2];
    const auto id = static_cast<int32_t>(uint32_t{head[5] & 0x7fU} << 24 | uint32_t{head[6]} << 16 |
                                         uint32_t{head[7]} << 8 | head[8]);
    const bool data = head[3] == NGHTTP2_DATA;
    in_reset_ = head[3] == NGHTTP2_RST_STREAM;
    if (head[3] > NGHTTP2_CONTINUATION) CountGlitch();
    frame_head_.clear();
    if (data && nghttp2_session_find_stream(session_.get(), id) == nullptr) {
      doubtful_ = id;
      return at;
    }
  }
  return bytes.size();
}

bool H2Codec::IsOver(int32_t id) const {
  return id != 0 && id <= last_id_ && !WasSkipped(id) &&
         nghttp2_session_find_stream(session_.get(), id) == nullptr;
}

/// A frame for a stream that is over (RFC 9113 section 5.1): after a reset it may have crossed it;
/// a head after both ends cannot.
void H2Codec::SeeLate(int32_t id, bool head) {
  CountGlitch();
  const bool reset = std::find(reset_ids_.begin(), reset_ids_.end(), id) != reset_ids_.end();
  if (head && !reset) return Terminate(H2Code::kStreamClosed);
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, NGHTTP2_STREAM_CLOSED);
}

void H2Codec::RememberReset(int32_t id) {
  if (reset_ids_.size() < kResetsKept) {
    reset_ids_.push_back(id);
    return;
  }
  reset_ids_[reset_next_] = id;
  reset_next_ = (reset_next_ + 1) % kResetsKept;
}

/// Once it has refused, it does so for good: what was submitted and is not packed points to memory
/// that its owner has taken back.
bool H2Codec::Pack() {
  stuck_ = stuck_ || output().size() > limits_.output_bytes_max ||
           nghttp2_session_send(session_.get()) != 0;
  return !stuck_;
}

void H2Codec::Written(size_t bytes) {
  written_ += bytes;
  written_total_ += bytes;
  if (written_ < output_.size()) return;
  output_.clear();
  written_ = 0;
}

void H2Codec::ReleaseBuffers() {
  if (output_.empty()) std::string().swap(output_);
  if (fields_.empty() || block_since_ != kNever) return;
  std::string().swap(bytes_);
  std::vector<H2Block::Field>().swap(fields_);
}

bool H2Codec::over() const {
  return nghttp2_session_want_read(session_.get()) == 0 &&
         nghttp2_session_want_write(session_.get()) == 0;
}

void H2Codec::Reset(int32_t id, H2Code code) {
  RememberReset(id);
  nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, id, static_cast<uint32_t>(code));
  (void)Pack();
}

void H2Codec::Detach(int32_t id) {
  nghttp2_session_set_stream_user_data(session_.get(), id, nullptr);
}

void H2Codec::Consumed(int32_t id, size_t bytes) {
  nghttp2_session_consume_stream(session_.get(), id, bytes);
}

void H2Codec::RaiseWindow(int32_t id, uint32_t window) {
  nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, id,
                                        static_cast<int32_t>(window));
}

uint32_t H2Codec::peer_streams_max() const {
  return nghttp2_session_get_remote_settings(session_.get(),
                                             NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool H2Codec::peer_takes_connect_protocol() const {
  return nghttp2_session_get_remote_settings(session_.get(),
                                             NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

bool H2Codec::ids_left() const {
  return nghttp2_session_check_request_allowed(session_.get()) != 0 &&
         nghttp2_session_get_next_stream_id(session_.get()) < (uint32_t{1} << 30);
}

void H2Codec::ShutdownNotice() {
  nghttp2_submit_shutdown_notice(session_.get());
  nghttp2_submit_ping(session_.get(), NGHTTP2_FLAG_NONE, nullptr);
}

void H2Codec::GoAway() {
  nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(session_.get()), NGHTTP2_NO_ERROR,
                        nullptr, 0);
}

void H2Codec::Terminate(H2Code code) {
  if (std::exchange(terminated_, true)) return;
  nghttp2_session_terminate_session(session_.get(), static_cast<uint32_t>(code));
}

void H2Codec::CountGlitch() { Count(glitches_); }

void H2Codec::Count(RateLimit& limit) {
  // A pod is no attacker; what it may cost is bounded all the same.
  if (!limit.Take(now_)) Terminate(H2Code::kEnhanceYourCalm);
}

/// nghttp2 ignores a HEADERS with an id below the last one. Where that id was never used it is a
/// connection error (RFC 9113 section 5.1.1); where it was, trailers may have crossed our reset.
void H2Codec::SeeNewStream(int32_t id) {
  if (id > last_id_) {
    if (id > last_id_ + 2 && skipped_.size() < kSkippedMost)
      skipped_.push_back({last_id_ + 1, id - 1});
    last_id_ = id;
  } else if (WasSkipped(id)) {
    Terminate(H2Code::kProtocol);
  } else {
    SeeLate(id, true);
  }
}

bool H2Codec::WasSkipped(int32_t id) const {
  return std::any_of(skipped_.begin(), skipped_.end(), [id](const Skipped& skipped) {
    return id >= skipped.first && id <= skipped.last;
  });
}

void H2Codec::Collect(std::string_view name, std::string_view value) {
  block_size_ += name.size() + value.size() + kFieldOverhead;
  // Pseudo-fields do not count among the fields.
  if (!name.starts_with(':')) ++block_fields_;
  block_too_large_ = block_too_large_ || block_size_ > head_.head_bytes_max ||
                     block_fields_ > head_.fields_max ||
                     value.size() + name.size() > head_.field_bytes_max;
  if (block_too_large_) return;
  fields_.push_back({static_cast<uint32_t>(bytes_.size()),
                     static_cast<uint32_t>(bytes_.size() + name.size()),
                     static_cast<uint32_t>(value.size()), static_cast<uint16_t>(name.size())});
  bytes_.append(name).append(value);
}

}  // namespace rouse::http
