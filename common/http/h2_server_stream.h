#pragma once
// What:      H2ServerStream: one request on an H2Server, from its head to Finish.
// Owner:     the H2Server; pooled. One shard.
// Limits:    an exact copy of the head; a body's window.
// Invariant: a reset of the client's is told once, from the loop.

#include "common/http/h1_server_stream.h"
#include "common/http/h2_heads.h"
#include "common/http/h2_stream.h"
#include "common/http/stream.h"

namespace rouse::http {

class H2ServerStream final : public ServerStream, public H2Stream {
 public:
  H2ServerStream(H2StreamOwner& connection, int32_t id, const PeerInfo& peer);

  // ---- for the connection
  void TakeRequest(const H2Block& block, const H1Options& options);
  /// Why it cannot be served; ok where it can.
  [[nodiscard]] const Error& bad() const { return bad_; }
  void HandOut() { handed_out_ = true; }
  void Broken(const Error& error) override;
  void TellGone() override;
  void BeforeRead() override;

  // ---- ServerStream
  [[nodiscard]] const RequestHead& head() const override;
  [[nodiscard]] const PeerInfo& peer() const override { return peer_; }
  [[nodiscard]] BodyReader& request_body() override { return reader(); }
  [[nodiscard]] BodyWriter& response_body() override { return writer(); }
  Step TrySendInformational(const ResponseHead& head, const HeadPatch& patch) override;
  Step TrySendHead(const ResponseHead& head, const HeadPatch& patch, std::string_view first,
                   bool end) override;
  [[nodiscard]] bool head_sent() const override { return writer_ && writer_->begun(); }
  size_t Park() override;
  void CompactHead() override;
  void Unpark() override {}
  void OnGone(GoneWatch watch) override { gone_watch_ = watch; }
  [[nodiscard]] bool gone() const override { return gone_; }
  void CancelRead(const Error& error) override { reader().Fail(error); }
  /// The others on the connection go on: it ends by Drain.
  void CloseAfter() override {}
  void Finish(const Error& error) override;

 private:
  struct Head : RequestHead, H2Pooled {};

  void OpenReader() override;

  const PeerInfo& peer_;
  mutable std::unique_ptr<Head> head_;  ///< null while it is compact
  mutable H2HeadBytes bytes_;           ///< that it lies in; while compact itself, packed
  GoneWatch gone_watch_;
  Error bad_;
  bool ended_ = false;  ///< the client's side, with its head
  bool gone_ = false;
  bool handed_out_ = false;
  bool tunnel_ = false;
  bool to_head_ = false;
};

}  // namespace rouse::http
