#pragma once
// What:      Tunnel, both ways raw after an upgrade, each with its own half close.
// Owner:     the exchange; both streams outlive the task. One shard.
// Limits:    idle_timeout without a byte in either direction ends it; zero: never.
// Invariant: bytes are identical both ways; a direction that fails ends the other.

#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/http/stream.h"
#include "common/net/shard.h"
#include "common/net/task.h"
#include "common/net/timer_wheel.h"

namespace rouse::proxy {

class Tunnel {
 public:
  Tunnel(net::Shard& shard, http::ServerStream& downstream, http::ClientStream& upstream,
         Duration idle_timeout);

  /// Until both directions have ended. kNone: both cleanly, or by the idle timeout.
  [[nodiscard]] net::Task<Error> Run();

 private:
  net::Task<void> Copy(http::BodyReader& from, http::BodyWriter& to);
  void Touch() { touched_ = shard_.now(); }
  void End(const Error& error);
  static void OnIdle(void* self);

  net::Shard& shard_;
  http::ServerStream& downstream_;
  http::ClientStream& upstream_;
  Duration idle_timeout_;
  net::Timer idle_timer_;
  TimePoint touched_;
  Error error_;
  bool idled_out_ = false;
  bool over_ = false;
};

}  // namespace rouse::proxy
