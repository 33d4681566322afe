#pragma once
// What:      H1Client: a transport driven as HTTP/1.1 in the client's role, one stream at a time.
// Owner:     proxy/upstream/pool; the limits outlive it. One shard.
// Limits:    H1ClientOptions; kInformationalMax 1xx heads per response.
// Invariant: reusable only if the request was sent whole, the response was read whole with explicit
//            framing, no further byte is there, neither side said close and nothing failed
//            (security.md 1.1).

#include <memory>

#include "common/http/h1_body.h"
#include "common/http/h1_head.h"
#include "common/http/stream.h"
#include "common/net/shard.h"
#include "common/net/transport.h"

namespace rouse::http {

struct H1ClientOptions {
  HeadLimits head = kResponseLimits;
  /// A response may pause for as long as its exchange has time (event streams do).
  H1BodyLimits body{.read_idle_timeout = Duration::max()};
};

class H1Client final : public ClientConnection, private ClientStream {
 public:
  static constexpr int kInformationalMax = 8;

  H1Client(net::Shard& shard, std::unique_ptr<net::Transport> transport,
           const H1ClientOptions& options);
  ~H1Client() override;

  [[nodiscard]] size_t streams_free() const override { return state_ == State::kIdle ? 1 : 0; }
  [[nodiscard]] ClientStream& Open() override;
  void OnChange(Watch watch) override { watch_ = watch; }
  void Close() override;
  [[nodiscard]] std::unique_ptr<CarriedConnection> Detach() override;

 private:
  class Carried;

  enum class State : uint8_t { kIdle, kBusy, kUnusable };

  Step TrySendHead(const RequestHead& head, const HeadPatch& patch, std::string_view first,
                   bool end) override;
  BodyWriter& request_body() override { return writer_; }
  Result<const ResponseHead*> TryReceiveHead() override;
  net::Event::Awaiter BeginWait(TimePoint deadline) override;
  void EndWait(net::Wake why) override;
  BodyReader& response_body() override { return reader_; }
  void Cancel(const Error& error) override;
  void Finish() override;
  bool untouched() const override { return used_ == 0; }

  static void OnReadable(void* self);
  ParseStep ReadHead();
  ParseStep OnHead();
  ParseStep Fail(ErrorKind kind, const char* detail);
  ParseStep PeerEnded(bool broken);
  bool MakeRoom();
  [[nodiscard]] bool Reusable() const;

  net::Shard& shard_;
  std::unique_ptr<net::Transport> transport_;
  const H1ClientOptions& options_;
  Watch watch_;
  State state_ = State::kIdle;
  bool to_head_ = false;
  bool upgrade_asked_ = false;
  bool upgraded_ = false;
  bool final_head_ = false;
  int informational_ = 0;
  size_t used_ = 0;    ///< bytes in the block
  size_t begin_ = 0;   ///< where the current head begins
  size_t parsed_ = 0;  ///< what the parser has seen
  net::Block block_;
  ResponseParser parser_;
  ResponseHead head_;
  H1BodyReader reader_;
  H1BodyWriter writer_;
  Error error_;
};

}  // namespace rouse::http
