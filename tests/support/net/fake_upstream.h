#pragma once
// What:      FakeUpstream, an origin on 127.0.0.1 that records every byte it gets and answers as a
//            test says. WireClient, a client that sends raw bytes and keeps what comes back.
// Owner:     the test; both live on the test's shard and thread, and do their work in Step().
// Limits:    none: tests are small.
// Invariant: requests are cut out by a parser of its own, so that ours is not its own judge; what
//            is no canonical HTTP/1.1 request is kept in malformed().

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/net/acceptor.h"
#include "common/net/shard.h"
#include "common/net/socket_address.h"
#include "common/net/transport.h"

namespace rouse::net::testing {

struct FakeRequest {
  std::string head;  ///< request line and fields, CRLFs included
  std::string body;  ///< decoded
  std::string trailers;
  size_t connection = 0;  ///< which one, from 0

  /// The value of a field, by lower-case name; empty where absent.
  [[nodiscard]] std::string Field(std::string_view name) const;
  [[nodiscard]] std::string Line() const { return head.substr(0, head.find("\r\n")); }
};

struct FakeAnswer {
  enum class After : uint8_t { kKeep, kClose, kReset, kEcho };
  std::string bytes;
  After after = After::kKeep;
  /// Goes out in pieces of one byte.
  bool byte_by_byte = false;
};

/// 200 with a sized body.
[[nodiscard]] FakeAnswer Ok(std::string_view body, std::string_view fields = {});

class FakeUpstream {
 public:
  using Answer = std::function<FakeAnswer(const FakeRequest&)>;

  explicit FakeUpstream(Shard& shard, Answer answer = {});
  ~FakeUpstream();

  [[nodiscard]] SocketAddress address() const { return address_; }
  void SetAnswer(Answer answer) { answer_ = std::move(answer); }
  /// Answers at the end of the head, before the body has come. Null: at the end of the request.
  void SetAnswerAtHead(Answer answer) { answer_at_head_ = std::move(answer); }
  /// Nothing is answered, nor read beyond what has been, until Release.
  void Hold() { held_ = true; }
  void Release() { held_ = false; }
  /// Stops reading: what the proxy sends stays in the sockets.
  void StopReading(bool stop) { deaf_ = stop; }
  void StopAccepting() { acceptor_.reset(); }

  void Step();

  [[nodiscard]] const std::vector<FakeRequest>& requests() const { return requests_; }
  [[nodiscard]] const std::vector<std::string>& malformed() const { return malformed_; }
  [[nodiscard]] size_t connections() const { return made_; }
  [[nodiscard]] size_t open() const { return wires_.size(); }
  /// Connections that ended in the middle of a request.
  [[nodiscard]] size_t cut_short() const { return cut_short_; }
  [[nodiscard]] uint64_t bytes_received() const { return bytes_received_; }
  void CloseAll(bool reset);

 private:
  struct Wire;
  void Read(Wire& wire);
  bool TakeRequest(Wire& wire);
  void Say(Wire& wire, const FakeAnswer& answer);
  void Flush(Wire& wire);

  Shard& shard_;
  SocketAddress address_;
  Answer answer_;
  Answer answer_at_head_;
  std::unique_ptr<Acceptor> acceptor_;
  std::vector<std::unique_ptr<Wire>> wires_;
  std::vector<FakeRequest> requests_;
  std::vector<std::string> malformed_;
  size_t made_ = 0;
  size_t cut_short_ = 0;
  uint64_t bytes_received_ = 0;
  bool held_ = false;
  bool deaf_ = false;
};

class WireClient {
 public:
  /// Dials `to`; turns the shard until that is done.
  WireClient(Shard& shard, SocketAddress to);
  ~WireClient();

  void Send(std::string_view bytes) { unsent_ += bytes; }
  /// One byte per Step.
  void SendSlowly(std::string_view bytes) { trickle_ += bytes; }
  void HalfClose() { half_close_ = true; }
  void Close(bool reset);
  void Step();
  /// Keeps only a count of what comes, from here on.
  void Discard() { discard_ = true; }
  void StopReading(bool stop) { deaf_ = stop; }

  [[nodiscard]] const std::string& received() const { return received_; }
  [[nodiscard]] uint64_t received_bytes() const { return received_bytes_; }
  void Forget() { received_.clear(); }
  [[nodiscard]] bool ended() const { return ended_; }    ///< FIN or reset came
  [[nodiscard]] bool broken() const { return broken_; }  ///< it was a reset
  [[nodiscard]] bool all_sent() const { return unsent_.empty() && trickle_.empty(); }
  /// Whole responses so far, by their status lines (bodies of tests hold none).
  [[nodiscard]] size_t responses() const;

 private:
  std::unique_ptr<Transport> transport_;
  std::string unsent_;
  std::string trickle_;
  std::string received_;
  uint64_t received_bytes_ = 0;
  Shard& shard_;
  bool half_close_ = false;
  bool discard_ = false;
  bool deaf_ = false;
  bool ended_ = false;
  bool broken_ = false;
};

}  // namespace rouse::net::testing
