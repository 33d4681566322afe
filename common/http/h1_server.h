#pragma once
// What:      H1Server: a transport driven as HTTP/1.1 in the server's role, one request after the
//            other.
// Owner:     proxy/downstream/session; the handler and the options outlive it. One shard.
// Limits:    H1Options: head, body, timeouts, requests per connection; discarding after an error is
//            bounded.
// Invariant: while idle it holds no buffer, no stream and no coroutine. States: kIdle -> kHead ->
//            kExchange -> kIdle; any -> kLingering -> kClosed; any -> kClosed.
// Never:     reads a body before the exchange asks for it; answers anything after a close was said.

#include <cstdint>
#include <memory>

#include "common/http/h1_server_stream.h"
#include "common/net/shard.h"
#include "common/net/transport.h"

namespace rouse::http {

class H1Server final : public ServerConnection, private H1StreamOwner {
 public:
  H1Server(net::Shard& shard, std::unique_ptr<net::Transport> transport, StreamHandler& handler,
           const H1Options& options);
  ~H1Server() override;

  void Start() override;
  void Drain() override;
  [[nodiscard]] bool idle() const override {
    return state_ == State::kIdle && !resume_ && !Fresh();
  }
  void Close() override;

 private:
  enum class State : uint8_t { kIdle, kHead, kExchange, kLingering, kClosed };

  static void OnReadable(void* self);
  static void OnHangUp(void* self);
  static void OnTimer(void* self);
  [[nodiscard]] bool Fresh() const;
  void Advance();
  bool LeavesHttp1();
  void Refuse(const Error& error);
  void EndExchange(Ending ending) override;
  void TellGoneSoon() override { ResumeSoon(); }
  [[nodiscard]] bool last_request() const override {
    return draining_ || served_ + 1 >= options_.requests_max;
  }
  void Linger();
  void Discard();
  void GoIdle(Duration timeout);
  void End(bool reset);
  void ResumeSoon();

  StreamHandler& handler_;
  std::unique_ptr<H1ServerStream> stream_;
  net::Timer timer_;
  uint64_t served_ = 0;
  uint32_t lingered_ = 0;  ///< bytes discarded
  State state_ = State::kIdle;
  bool draining_ = false;
  /// The timer is set to go on (with the next request; in kExchange, to tell that the client has
  /// gone), not to end this connection.
  bool resume_ = false;
};

}  // namespace rouse::http
