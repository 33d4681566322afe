#pragma once
// What:      H2Server: a transport driven as HTTP/2 in the server's role, many requests at a time.
// Owner:     proxy/downstream/session; the handler and the options outlive it. One shard.
// Limits:    H2Limits; heads, bodies and timeouts as H1Options has them for every version.
// Invariant: a request that the client resets counts against streams_max until its exchange has
//            finished, so that resets never free what is still running (CVE-2023-44487).
// Never:     closes for what one stream did, except by the counters of abuse.

#include <memory>
#include <vector>

#include "common/http/h1_server_stream.h"
#include "common/http/h2_connection.h"
#include "common/http/h2_server_stream.h"
#include "common/http/stream.h"

namespace rouse::http {

class H2Server final : public ServerConnection, private H2Connection {
 public:
  /// `first`: bytes that were read before, valid during Start.
  H2Server(net::Shard& shard, std::unique_ptr<net::Transport> transport, StreamHandler& handler,
           const H1Options& options, const H2Limits& limits);
  ~H2Server() override;

  void Start() override { StartWith({}); }
  void StartWith(std::string_view first);
  void Drain() override;
  [[nodiscard]] bool idle() const override {
    const bool fresh = served_ == 0 && shard_.now() - started_ < options_.fresh_for;
    return streams_ == 0 && arrived_.empty() && !fresh;
  }
  void Close() override;

 private:
  /// GOAWAY from this id on: a client has a thousand left then for what is on its way.
  static constexpr int32_t kIdLate = 0x7fffffff - 2 * 1000;

  bool MayBegin() override;
  H2Stream* OnBlock(int32_t id, H2Stream* stream, const H2Block& block) override;
  void AfterReceive() override;
  [[nodiscard]] TimePoint RoleDeadline() const override;
  void RolePassed() override;
  [[nodiscard]] Error BrokenBy(H2Code code) const override;
  void Emptied() override;
  void Over() override { handler_.OnConnectionClosed(); }
  void LastWord();

  StreamHandler& handler_;
  const H1Options& options_;
  PeerInfo peer_;
  std::vector<H2ServerStream*> arrived_;  ///< whole heads, not handed out yet
  TimePoint started_;
  TimePoint idle_since_;
  TimePoint notice_by_ = kNever;  ///< the last GOAWAY follows then
  uint64_t served_ = 0;
  bool ids_end_ = false;
  bool draining_ = false;
  bool last_word_ = false;  ///< the final GOAWAY has been submitted
};

}  // namespace rouse::http
