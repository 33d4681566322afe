#pragma once
// What:      HttpParser, HTTP/1 messages out of bytes, one after another, in either role.
// Owner:     one per connection (server) or call (client). Plain memory, no I/O.
// Limits:    head_bytes_max and body_bytes_max of each message.
// Invariant: bytes behind the end of a message are kept for the next.
// Never:     used on the data path, which has a stricter parser of its own (common/http).

#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>

#include "common/control/channel.h"

namespace rouse::control {

struct HttpHead {
  std::string method;  ///< requests
  std::string target;  ///< requests
  int status = 0;      ///< responses
  int version = 11;    ///< 10 or 11
  Headers headers;
};

class HttpParser {
 public:
  enum class Role : uint8_t { kRequests, kResponses };

  struct Limits {
    size_t head_bytes_max = 64 * 1024;
    uint64_t body_bytes_max = std::numeric_limits<uint64_t>::max();
  };

  struct Events {
    absl::AnyInvocable<void(HttpHead)> on_head;
    absl::AnyInvocable<void(std::string_view)> on_body;
  };

  HttpParser(Role role, Limits limits, Events events);
  ~HttpParser();

  /// Reads up to the end of the message. kInvalidArgument; kResourceExhausted: head too
  /// large; kOutOfRange: body too large.
  [[nodiscard]] absl::Status Feed(std::string_view data);
  /// The peer has ended its side: OK if that completes the message.
  [[nodiscard]] absl::Status FeedEnd();
  /// Keeps bytes for later without reading them.
  void Hold(std::string_view data) { held_.append(data); }
  /// Forgets the message read, keeps what follows it. `no_body`: the next is an answer to HEAD.
  void Next(bool no_body = false);

  [[nodiscard]] bool head_done() const;
  [[nodiscard]] bool done() const;
  /// Of the message read: may the connection be used again.
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] const std::string& held() const { return held_; }
  [[nodiscard]] std::string TakeHeld() { return std::move(held_); }

 private:
  class Machine;
  class RequestMachine;
  class ResponseMachine;
  [[nodiscard]] absl::Status Drain(std::string_view data, size_t* used);

  Role role_;
  Limits limits_;
  Events events_;
  std::unique_ptr<Machine> machine_;
  std::string held_;
};

/// True where `name` is a field name and `value` can stand behind it (RFC 9110 section 5).
[[nodiscard]] bool ValidHeader(std::string_view name, std::string_view value);
/// True where the comma-separated `value` has `token`, without case.
[[nodiscard]] bool HasToken(std::string_view value, std::string_view token);
/// The reason phrase of a status, for our own answers.
[[nodiscard]] std::string_view ReasonOf(int status);

}  // namespace rouse::control
