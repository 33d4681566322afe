#pragma once
// What:  H2Origin, a pod that speaks HTTP/2 on 127.0.0.1 as a test says: what each request gets is
//        a string of raw frames.
// Owner: the test; works in Step(), on the test's shard and thread.
// Never: uses our codec.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/net/acceptor.h"
#include "common/net/shard.h"
#include "common/net/socket_address.h"
#include "common/net/transport.h"
#include "tests/support/net/h2_wire.h"

namespace rouse::net::testing {

class H2Origin {
 public:
  struct Request {
    uint32_t stream = 0;
    size_t connection = 0;  ///< which one, from 0
    H2Answer message;       ///< `head` are the request's fields
  };
  /// Frames to send.
  using Answer = std::function<std::string(const Request&)>;

  explicit H2Origin(Shard& shard, std::string settings = {});
  ~H2Origin();

  [[nodiscard]] SocketAddress address() const { return address_; }
  /// Called once a request has ended.
  void SetAnswer(Answer answer) { answer_ = std::move(answer); }
  /// Called once its head is there.
  void SetAnswerAtHead(Answer answer) { answer_at_head_ = std::move(answer); }
  void Send(size_t connection, std::string_view bytes);
  void Close(size_t connection);
  void CloseAll();
  void Step();

  [[nodiscard]] const std::vector<Request>& requests() const { return requests_; }
  [[nodiscard]] H2Answer& on(size_t connection, uint32_t stream);
  [[nodiscard]] size_t connections() const { return wires_.size(); }
  [[nodiscard]] bool open(size_t connection) const;

 private:
  struct Wire;
  void Read(Wire& wire, size_t number);

  Shard& shard_;
  std::string settings_;
  SocketAddress address_;
  Answer answer_;
  Answer answer_at_head_;
  std::unique_ptr<Acceptor> acceptor_;
  std::vector<std::unique_ptr<Wire>> wires_;
  std::vector<Request> requests_;
};

/// 200 with a body, on `stream`.
[[nodiscard]] std::string H2Ok(uint32_t stream, std::string_view body, const H2Fields& more = {});

}  // namespace rouse::net::testing
