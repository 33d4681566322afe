#pragma once
// What:      Loopback, a shard on real time with an acceptor on 127.0.0.1, turned by hand on the
//            test's thread.
// Owner:     the test. One thread.
// Limits:    RunUntil gives up after kPatience of real time and says false.
// Invariant: when it ends, every coroutine that the test started must have ended.

#include <functional>
#include <memory>
#include <vector>

#include "common/base/clock.h"
#include "common/net/acceptor.h"
#include "common/net/connector.h"
#include "common/net/listener.h"
#include "common/net/shard.h"
#include "common/net/task.h"

namespace rouse::net::testing {

class Loopback {
 public:
  static constexpr Duration kPatience = std::chrono::seconds(20);

  explicit Loopback(ShardLimits limits = {}, ListenOptions listen = {});

  [[nodiscard]] Shard& shard() { return shard_; }
  [[nodiscard]] Acceptor& acceptor() { return *acceptor_; }
  [[nodiscard]] SocketAddress address() const { return address_; }
  /// A deadline that no test reaches.
  [[nodiscard]] TimePoint soon() const { return Later(shard_.now(), kPatience); }

  /// Connections accepted and not yet taken by the test.
  [[nodiscard]] std::vector<std::unique_ptr<Transport>>& accepted() { return accepted_; }
  /// Dials our own acceptor; both ends of the new connection. Null where it failed.
  struct Pair {
    std::unique_ptr<Transport> client;
    std::unique_ptr<Transport> server;
  };
  [[nodiscard]] Pair Dial();

  /// Turns until `done`; false where that does not come.
  [[nodiscard]] bool RunUntil(const std::function<bool()>& done);
  /// Turns until the task has ended.
  [[nodiscard]] bool RunToEnd(Task<void> task);

 private:
  SteadyClock clock_;
  Shard shard_;
  SocketAddress address_;
  std::vector<std::unique_ptr<Transport>> accepted_;
  std::unique_ptr<Acceptor> acceptor_;
};

/// Connects and stores what came of it.
Task<void> DialInto(Shard& shard, SocketAddress to, TimePoint deadline,
                    std::optional<Result<std::unique_ptr<Transport>>>& result);
/// Writes all of `data`; false where the connection broke or the deadline came.
Task<void> WriteAll(Transport& transport, std::string_view data, TimePoint deadline, bool& ok);
/// Appends what is read to `out` until the peer's FIN (`ended`), an error or the deadline.
Task<void> ReadToEnd(Transport& transport, TimePoint deadline, std::string& out, bool& ended);

}  // namespace rouse::net::testing
