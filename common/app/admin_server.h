#pragma once
// What:      AdminServer, the two ports of a program that people and probes look at. Health:
//            /livez, /readyz, /metrics, on all addresses. Admin: read-only JSON pages, on loopback
//            unless told otherwise.
// Owner:     App; the network outlives it. Pages and checks may call what outlives it.
// Shard:     the control thread; Beat too: a shard posts its heartbeat through Loop::Post.
// Invariant: live while every heartbeat is younger than kBeatLongest; ready while every check
//            passes.
// Never:     changes anything; answers an admin request whose Host is not one of its own names.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include "common/control/channel.h"
#include "common/obs/log.h"

namespace rouse::app {

inline constexpr Duration kBeatLongest = std::chrono::seconds(10);

struct AdminOptions {
  std::string health_address = "0.0.0.0:8081";
  std::string admin_address = "127.0.0.1:9901";
  /// Names, beside loopback's and the address that was called, under which the admin port may be
  /// asked for.
  std::vector<std::string> admin_hosts;
};

class AdminServer {
 public:
  /// A page's text, or a check's complaint.
  using Page = std::function<std::string()>;
  using Check = std::function<absl::Status()>;
  /// Brings what pages show up to date; calls `done`, once, on the control loop.
  using Refresh = std::function<void(absl::AnyInvocable<void()> done)>;

  AdminServer(control::Network& network, obs::Log& log, AdminOptions options);
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;

  /// Opens both ports. kFailedPrecondition or kInvalidArgument names the address.
  [[nodiscard]] absl::Status Listen();
  void StopListening();

  void AddReadiness(std::string name, Check check);
  /// A part that must beat at least every kBeatLongest; it counts as alive from now on.
  void AddHeartbeat(const std::string& name);
  void Beat(const std::string& name);
  /// Beats by itself as long as the control loop turns.
  void BeatWithLoop(const std::string& name);
  /// Not ready from now on, whatever the checks say.
  void SetDraining() { draining_ = true; }

  /// Runs before /metrics and each page of the admin port is written; whoever asked waits until
  /// `done` is called (the page), or thrown away (500). Without it they are written at once.
  void SetRefresh(Refresh refresh) { refresh_ = std::move(refresh); }
  /// Prometheus text for /metrics.
  void SetMetrics(Page page) { metrics_ = std::move(page); }
  /// A JSON page of the admin port, such as "/config", with one line about it for the index.
  void AddPage(const std::string& path, std::string about, Page page);

  /// 0 while not listening.
  [[nodiscard]] uint16_t health_port() const;
  [[nodiscard]] uint16_t admin_port() const;

 private:
  class Health;
  class Admin;
  struct Described {
    std::string about;
    Page page;
  };

  /// One line per check; `ready` tells whether all pass.
  [[nodiscard]] std::string Readiness(bool* ready) const;
  [[nodiscard]] std::string Liveness(bool* live) const;
  [[nodiscard]] bool KnowsHost(std::string_view host, std::string_view local) const;
  void TurnBeat(const std::string& name);
  /// Answers with the page as it is after a refresh.
  void Show(std::unique_ptr<control::HttpResponder> responder, control::Headers headers,
            const Page& page) const;

  control::Network& network_;
  obs::Log& log_;
  const AdminOptions options_;
  std::vector<std::pair<std::string, Check>> checks_;
  std::map<std::string, TimePoint> beats_;
  std::map<std::string, control::TimerId> timers_;
  std::map<std::string, Described> pages_;
  Page metrics_;
  Refresh refresh_;
  bool draining_ = false;
  std::unique_ptr<Health> health_;
  std::unique_ptr<Admin> admin_;
  std::unique_ptr<control::HttpListener> health_listener_;
  std::unique_ptr<control::HttpListener> admin_listener_;
};

/// `host:port`, `[v6]:port` or `:port` (all addresses).
struct HostPort {
  std::string host;
  uint16_t port = 0;
};
[[nodiscard]] absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

/// `text` as a JSON string, with quotes.
[[nodiscard]] std::string JsonText(std::string_view text);

}  // namespace rouse::app
