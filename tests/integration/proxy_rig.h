#pragma once
// What:   ProxyRig, the whole data side of one shard over real sockets on loopback, turned by hand:
//         a DataPlane with a listener, upstreams and clients, all in the test's thread.
// Owner:  the test. One thread.
// Limits: RunUntil gives up after Loopback::kPatience.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/net/shard.h"
#include "proxy/data_plane.h"
#include "proxy/downstream/listener.h"
#include "proxy/static_view.h"
#include "tests/support/net/fake_upstream.h"
#include "tests/support/net/loopback.h"

namespace rouse::proxy::testing {

using net::testing::FakeAnswer;
using net::testing::FakeRequest;
using net::testing::FakeUpstream;
using net::testing::Ok;
using net::testing::WireClient;

class ProxyRig {
 public:
  explicit ProxyRig(const DataPlaneOptions& options = Defaults())
      : options_(options),
        slots_(1),
        shard_(0, clock_, 7, {}),
        snapshots_({.endpoint = [this](const EndpointKey& key) { return slots_.Endpoint(key); },
                    .workload = [this](const ObjectKey& key) { return slots_.Workload(key); }}) {
    DataPlaneWires wires;
    wires.on_wake = [this](const ObjectKey& key) { wakes_.push_back(key); };
    wires.on_records = [this](std::span<const AccessRecord> batch) {
      for (const AccessRecord& record : batch) records_.push_back(record);
    };
    wires.on_client_refused = [this](std::string_view client) { refused_.emplace_back(client); };
    plane_ = std::make_unique<DataPlane>(shard_, options_, totals_, std::move(wires));
    std::vector<std::unique_ptr<DataPlane>> all;
    all.push_back(std::move(plane_));
    all.front()->ConnectPeers(all);
    plane_ = std::move(all.front());
    auto sockets = OpenListeners("127.0.0.1:0", 1, {.defer_accept = true});
    CHECK(sockets.ok());
    Listener& listener = plane_->AddListener(std::move(sockets->front()));
    address_ = net::SocketAddress::Loopback(listener.port());
    upstream_ = std::make_unique<FakeUpstream>(shard_);
    shard_.Turn(Duration::zero());
    view_.workloads.push_back(
        {.key = {"ns", "fn"}, .endpoints = {upstream_->address().text()}, .policy = {}});
    view_.routes.push_back({.host = "*", .path = "/", .workload = {"ns", "fn"}});
    Publish();
    plane_->StartListening();
  }

  ~ProxyRig() {
    clients_.clear();
    plane_->Drain();
    plane_->AbortAll({ErrorKind::kDraining, Side::kLocal, false, "the test is over"});
    upstream_->CloseAll(true);
    CHECK(RunUntil([this] { return plane_->idle(); }));
    plane_->CheckInvariants();
  }

  static DataPlaneOptions Defaults() {
    DataPlaneOptions options;
    options.sessions.http1.linger_timeout = std::chrono::milliseconds(100);
    return options;
  }

  [[nodiscard]] DataPlane& plane() { return *plane_; }
  [[nodiscard]] net::Shard& shard() { return shard_; }
  [[nodiscard]] FakeUpstream& upstream() { return *upstream_; }
  [[nodiscard]] StaticView& view() { return view_; }
  [[nodiscard]] WorkloadPolicy& policy() { return view_.workloads.front().policy; }
  void Publish() { plane_->Adopt(snapshots_.Build(view_, clock_.now())); }
  [[nodiscard]] const std::vector<ObjectKey>& wakes() const { return wakes_; }
  [[nodiscard]] const std::vector<std::string>& refused() const { return refused_; }
  [[nodiscard]] const std::vector<AccessRecord>& records() const { return records_; }
  [[nodiscard]] Sample sample() { return plane_->TakeSample(); }

  WireClient& Connect() {
    clients_.push_back(std::make_unique<WireClient>(shard_, address_));
    return *clients_.back();
  }
  void AddUpstream(FakeUpstream& upstream) { others_.push_back(&upstream); }
  /// Done in each Step, until the rig ends.
  void AlsoStep(std::function<void()> step) { steps_.push_back(std::move(step)); }

  void Step() {
    shard_.Turn(std::chrono::milliseconds(1));
    upstream_->Step();
    for (FakeUpstream* each : others_) each->Step();
    for (const std::function<void()>& step : steps_) step();
    for (const auto& client : clients_) client->Step();
  }
  [[nodiscard]] bool RunUntil(const std::function<bool()>& done) {
    const TimePoint give_up = Later(clock_.now(), net::testing::Loopback::kPatience);
    while (!done()) {
      if (clock_.now() > give_up) return false;
      Step();
    }
    return true;
  }
  /// For things that must not happen: a while in which they would have.
  void RunFor(Duration span) {
    const TimePoint end = Later(clock_.now(), span);
    (void)RunUntil([&] { return clock_.now() >= end; });
  }

  /// Sends, waits for the connection's end or for `count` whole answers, and returns what came.
  std::string Ask(std::string_view bytes, size_t count = 1) {
    WireClient& client = Connect();
    client.Send(bytes);
    (void)RunUntil([&] { return client.ended() || (client.responses() >= count && Quiet()); });
    return client.received();
  }
  /// Nothing runs in the proxy.
  [[nodiscard]] bool Quiet() const { return plane_->active() == 0; }

 private:
  SteadyClock clock_;
  DataPlaneOptions options_;
  SlotTable slots_;
  ParkedTotals totals_;
  net::Shard shard_;
  StaticSnapshots snapshots_;
  StaticView view_;
  std::vector<ObjectKey> wakes_;
  std::vector<std::string> refused_;
  std::vector<AccessRecord> records_;
  net::SocketAddress address_;
  std::unique_ptr<FakeUpstream> upstream_;
  std::vector<FakeUpstream*> others_;
  std::vector<std::function<void()>> steps_;
  std::unique_ptr<DataPlane> plane_;
  std::vector<std::unique_ptr<WireClient>> clients_;
};

inline std::string Get(std::string_view path = "/", std::string_view fields = {}) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: fn.example\r\n" + std::string(fields) +
         "\r\n";
}
inline std::string Post(std::string_view body, std::string_view fields = {}) {
  return "POST /p HTTP/1.1\r\nHost: fn.example\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(fields) + "\r\n" + std::string(body);
}
inline bool Has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace rouse::proxy::testing
