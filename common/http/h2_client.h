#pragma once
// What:      H2Client: a transport driven as HTTP/2 in the client's role, many streams at a time.
// Owner:     proxy/upstream/pool; the limits outlive it. One shard.
// Limits:    H2Limits::streams_max and the pod's own.
// Invariant: an error says retry_safe exactly where the pod has said that it did not process the
//            stream (REFUSED_STREAM, GOAWAY), or no byte of it has left.

#include <memory>

#include "common/http/h1_client.h"
#include "common/http/h2_connection.h"
#include "common/http/h2_heads.h"
#include "common/http/stream.h"

namespace rouse::http {

class H2Client final : public ClientConnection, private H2Connection {
 public:
  H2Client(net::Shard& shard, std::unique_ptr<net::Transport> transport,
           const H1ClientOptions& options, const H2Limits& limits);
  ~H2Client() override;

  /// Waits until the pod has shown that it speaks HTTP/2, and what it allows.
  [[nodiscard]] net::Task<Result<void>> Settle(TimePoint deadline);

  [[nodiscard]] size_t streams_free() const override;
  [[nodiscard]] bool multiplexes() const override { return true; }
  [[nodiscard]] ClientStream& Open() override;
  void OnChange(Watch watch) override { watch_ = watch; }
  void Close() override;

 private:
  bool MayBegin() override { return false; }
  H2Stream* OnBlock(int32_t id, H2Stream* stream, const H2Block& block) override;
  void OnGoAway() override { leaving_ = true; }
  void OnSettings() override { settled_ = true; }
  void AfterReceive() override;
  [[nodiscard]] TimePoint RoleDeadline() const override { return kNever; }
  void RolePassed() override {}
  [[nodiscard]] Error BrokenBy(H2Code code) const override;
  void Ended() override;
  void Emptied() override;
  void Over() override;
  void TellUnusable();

  const H1ClientOptions& options_;
  Watch watch_;
  net::Event settled_event_;
  bool settled_ = false;
  bool leaving_ = false;
  bool told_unusable_ = false;
};

}  // namespace rouse::http
