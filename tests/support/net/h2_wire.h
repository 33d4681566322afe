#pragma once
// What:  HTTP/2 as a test speaks it: frames built by hand, wrong ones too, and what comes back
//        taken apart. H2Wire does nothing by itself: no acknowledgement, no window update.
// Owner: the test. One thread.
// Never: uses our codec: it is what is judged. Header blocks are literals; what comes back is
//        decoded by nghttp2's inflater.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rouse::net::testing {

class WireClient;

using H2Fields = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view kH2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum H2Type : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
inline constexpr uint8_t kEndStream = 1;  // and ACK
inline constexpr uint8_t kEndHeaders = 4;
inline constexpr uint8_t kPadded = 8;

[[nodiscard]] std::string Number32(uint32_t number);
[[nodiscard]] std::string H2Frame(uint8_t type, uint8_t flags, uint32_t stream,
                                  std::string_view payload);
/// A literal field that is never indexed (RFC 7541 section 6.2.3).
[[nodiscard]] std::string HpackLiteral(std::string_view name, std::string_view value);
[[nodiscard]] std::string Hpack(const H2Fields& fields);
[[nodiscard]] std::string H2Setting(uint16_t id, uint32_t value);
/// GET / for fn.example; `more` behind the pseudo-fields.
[[nodiscard]] H2Fields H2Get(std::string path = "/", H2Fields more = {});
[[nodiscard]] H2Fields H2Post(std::string path = "/", H2Fields more = {});

/// What came back on one stream.
struct H2Answer {
  int status = 0;
  H2Fields head;
  std::vector<H2Fields> early;  ///< 1xx
  H2Fields trailers;
  std::string body;
  bool ended = false;
  std::optional<uint32_t> reset;

  [[nodiscard]] std::string Field(std::string_view name) const;
  [[nodiscard]] std::string Trailer(std::string_view name) const;
  [[nodiscard]] bool over() const { return ended || reset.has_value(); }
};

/// Takes apart what one side of a connection sends.
class H2Reader {
 public:
  H2Reader();
  ~H2Reader();
  H2Reader(H2Reader&&) noexcept;
  H2Reader& operator=(H2Reader&&) = delete;

  void Feed(std::string_view bytes);
  [[nodiscard]] H2Answer& stream(uint32_t id) { return streams_[id]; }
  [[nodiscard]] std::map<uint32_t, H2Answer>& streams() { return streams_; }
  [[nodiscard]] const std::optional<uint32_t>& goaway() const { return goaway_; }
  [[nodiscard]] const std::vector<uint32_t>& goaway_ids() const { return goaway_ids_; }
  [[nodiscard]] size_t ping_acks() const { return ping_acks_; }
  [[nodiscard]] const std::string& last_ping() const { return last_ping_; }  ///< to be answered
  [[nodiscard]] bool settled() const { return settled_; }
  [[nodiscard]] bool settings_acked() const { return settings_acked_; }
  [[nodiscard]] uint64_t credit(uint32_t stream) { return credit_[stream]; }

 private:
  struct Inflater;
  void Take(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);
  void TakeBlock(uint32_t stream, bool end);

  std::unique_ptr<Inflater> inflater_;
  std::string unread_;
  std::string block_;
  bool block_ends_ = false;
  std::map<uint32_t, H2Answer> streams_;
  std::map<uint32_t, uint64_t> credit_;
  std::optional<uint32_t> goaway_;
  std::vector<uint32_t> goaway_ids_;
  std::string last_ping_;
  size_t ping_acks_ = 0;
  bool settled_ = false;
  bool settings_acked_ = false;
};

/// A client that does nothing by itself.
class H2Wire {
 public:
  explicit H2Wire(WireClient& client) : client_(client) {}

  /// Preface and settings.
  void Start(std::string_view settings = {});
  void Send(std::string_view bytes);
  void Headers(uint32_t stream, const H2Fields& fields, bool end);
  void Data(uint32_t stream, std::string_view bytes, bool end);
  void Update(uint32_t stream, uint32_t bytes);
  void Reset(uint32_t stream, uint32_t code);

  /// What has come until now.
  [[nodiscard]] H2Reader& read();
  [[nodiscard]] H2Answer& stream(uint32_t id) { return read().stream(id); }
  [[nodiscard]] WireClient& client() { return client_; }

 private:
  WireClient& client_;
  H2Reader reader_;
  size_t fed_ = 0;
};

}  // namespace rouse::net::testing
