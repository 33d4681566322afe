#pragma once
// What:      H2Connection, a transport driven as HTTP/2: what H2Server and H2Client share. Reads
//            into the codec, gathers what it packs, writes it once at the end of the loop's turn.
// Owner:     as ServerConnection and ClientConnection; the limits outlive it. One shard.
// Limits:    H2Limits, H2Pace; kReadPerTurn bytes a turn.
// Invariant: nothing of a stream's user runs while the codec does. States: kOpen -> kLingering ->
//            kClosed; kOpen -> kClosed.

#include <memory>

#include "common/http/h2_codec.h"
#include "common/http/h2_stream.h"
#include "common/net/shard.h"
#include "common/net/transport.h"

namespace rouse::http {

/// How patient a connection is.
struct H2Pace {
  Duration head_timeout = std::chrono::seconds(10);
  Duration write_idle_timeout = std::chrono::seconds(30);
  Duration linger_timeout = std::chrono::seconds(2);
  size_t linger_bytes_max = 64 * 1024;
};

class H2Connection : protected H2Codec::Events, public H2StreamOwner, private net::TurnEnd {
 public:
  void BoundUnsent() override;
  void Remove(H2Stream& stream) override;

 protected:
  enum class State : uint8_t { kOpen, kLingering, kClosed };

  H2Connection(net::Shard& shard, std::unique_ptr<net::Transport> transport, H2Codec::Role role,
               const H2Limits& limits, const HeadLimits& head, const H1BodyLimits& body,
               const H2Pace& pace);
  ~H2Connection();

  /// Watches the transport; `first` was read before.
  void StartIo(std::string_view first);
  void Link(H2Stream& stream);
  void Touch() override;
  /// GOAWAY with `code`, then the end; the streams are broken.
  void Fail(H2Code code);
  /// The transport goes; streams are broken with what BrokenBy says.
  void End(bool reset);
  void RunSoon();
  void Rearm();

  /// After each Receive: new streams may be handed out.
  virtual void AfterReceive() = 0;
  /// The next deadline of the role's own, and its passing.
  [[nodiscard]] virtual TimePoint RoleDeadline() const = 0;
  virtual void RolePassed() = 0;
  [[nodiscard]] virtual Error BrokenBy(H2Code code) const = 0;
  /// Nothing more will come or go; the streams are broken.
  virtual void Ended() {}
  /// No stream is left; may be inline with a stream's Finish, as its last act.
  virtual void Emptied() = 0;
  /// From the loop: closed, and no stream is left (each time). The last act: it may destroy us.
  virtual void Over() = 0;
  // ---- H2Codec::Events
  void OnData(H2Stream& stream, std::string_view bytes) override { stream.reader().Deliver(bytes); }
  void OnEnd(H2Stream& stream) override { stream.reader().DeliverEnd(); }
  void OnClosed(H2Stream& stream, H2Code code) override;
  void OnPacked(H2Outgoing& outgoing) override { static_cast<H2BodyWriter&>(outgoing).Packed(); }

  std::unique_ptr<net::Transport> transport_;
  const H2Pace pace_;
  State state_ = State::kOpen;
  size_t streams_ = 0;  ///< that have not been finished

 private:
  static constexpr size_t kReadPerTurn = 64 * 1024;
  static constexpr size_t kWritePerTurn = 256 * 1024;
  /// Where nothing has come or gone for so long, no buffer is kept, open streams or none.
  static constexpr Duration kQuiet = std::chrono::milliseconds(100);

  static void OnReadable(void* self);
  static void OnWritable(void* self);
  static void OnTimer(void* self);
  void OnTurnEnd() override;
  void Read();
  void Feed(std::string_view bytes);
  void Stir() { quiet_by_ = Later(shard_.now(), kQuiet); }
  void Write();
  bool WriteOnce();
  void ResumeStarved();
  void BreakStreams(H2Code code);
  void TellGone();
  void Linger();
  void Discard();

  net::Timer timer_;
  H2Stream* first_stream_ = nullptr;
  TimePoint write_by_ = kNever;  ///< while output waits for the socket
  TimePoint linger_by_ = kNever;
  TimePoint quiet_by_ = kNever;  ///< the codec's buffers go then
  size_t lingered_ = 0;
  bool run_soon_ = false;
  bool any_to_tell_ = false;
};

}  // namespace rouse::http
