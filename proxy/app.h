#pragma once
// What:      App, the data side of one rouse-proxy: shards, data planes, listeners; and the bridge
//            between the shards' inboxes and the control loop.
// Owner:     the program (or a test); loop, log and config outlive it. Control thread, all calls.
// Invariant: listens only once a snapshot has been published. Every callback runs on the control
//            thread.
// Never:     knows where snapshots come from or where reports go: those sides attach through
//            Publish, GatherDemand, OnWake.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>

#include "common/control/channel.h"
#include "common/net/shard_set.h"
#include "common/obs/log.h"
#include "proxy/config.h"
#include "proxy/data_plane.h"
#include "proxy/upstream/slot_table.h"

namespace rouse::proxy {

class App {
 public:
  App(control::Loop& loop, obs::Log& log, const Config& config, uint64_t seed);
  ~App();
  App(const App&) = delete;
  App& operator=(const App&) = delete;

  /// Binds the listeners and starts the shards.
  [[nodiscard]] absl::Status Start();
  /// What the next handshakes of this listener go by; before Start too.
  void AdoptTls(size_t listener, net::TlsServerPtr server);
  /// A new view for every shard. With the first one the listeners begin to accept.
  void Publish(SnapshotPtr snapshot);
  [[nodiscard]] bool published() const { return published_; }

  // ---- what the control side attaches to
  /// A shard parked a request for a workload without a usable endpoint.
  void OnWake(std::function<void(const ObjectKey&)> told) { on_wake_ = std::move(told); }
  /// The wake of this workload is on its way.
  void MarkReported(const ObjectKey& workload);
  /// Whether anybody can be asked to wake a workload; until told otherwise, yes.
  void SetCanWake(bool can_wake);
  /// Demand since the call before, summed over the shards.
  void GatherDemand(absl::AnyInvocable<void(std::vector<DemandRow>)> done);
  /// Slots have become free by other means than an exchange's end.
  void LookAgain();
  /// The shared counters, for whoever builds snapshots.
  [[nodiscard]] SlotTable& slots() { return slots_; }

  // ---- pages
  /// Everything as of now, summed over the shards.
  void GatherSample(absl::AnyInvocable<void(Sample)> done);
  [[nodiscard]] size_t shards() const { return planes_.size(); }
  /// How long ago this shard's loop turned.
  [[nodiscard]] Duration SilenceOf(size_t shard);
  [[nodiscard]] uint16_t port(size_t listener = 0) const { return ports_.at(listener); }

  // ---- the end
  void Drain();
  /// Nothing is open downstream any more, as of the last look; each call looks again.
  [[nodiscard]] bool Drained();
  /// Ends what still runs.
  void Abort();
  void Stop();

 private:
  DataPlaneWires WiresFor(net::Shard& shard);
  static void WriteLines(const std::string& lines);
  [[nodiscard]] absl::Status OpenListeners();

  control::Loop& loop_;
  obs::Log& log_;
  const Config& config_;
  SlotTable slots_;
  ParkedTotals totals_;
  net::ShardSet shards_;
  std::vector<std::unique_ptr<DataPlane>> planes_;
  std::vector<std::vector<net::Acceptor*>> groups_;  ///< by listener: its acceptors on all shards
  std::vector<uint16_t> ports_;
  std::function<void(const ObjectKey&)> on_wake_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool published_ = false;
  bool started_ = false;
  bool drained_ = false;
  bool looking_ = false;
};

/// Rows of all shards about the same workload become one.
[[nodiscard]] Sample MergeSamples(std::vector<Sample> samples);
[[nodiscard]] std::vector<DemandRow> MergeDemand(const std::vector<std::vector<DemandRow>>& rows);

}  // namespace rouse::proxy
