#pragma once
// What:      Homes, what makes a concurrency limit hold over all proxies (15.6): who is home by the
//            proxies' own endpoint slices, the questions and answers between proxies, and the slots
//            that may not be granted here, or not yet.
// Owner:     ClusterSide. Control thread.
// Limits:    HomesOptions; wire::kHeldMax slots in an answer; one call at a time to each proxy.
// Invariant: before an answer leaves, nothing that it gives away can be granted here any more: the
//            slots are taken on the shared counters, which every shard obeys at once.
// Never:     grants anything: that is admission, with what the counters leave.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <absl/status/status.h>

#include "common/control/channel.h"
#include "common/obs/log.h"
#include "k8s/objects/endpoint_slice.h"
#include "k8s/watcher.h"
#include "proxy/control/home_claims.h"
#include "proxy/model/endpoint_set.h"

namespace rouse::proxy {

struct HomesOptions {
  std::string address;                     ///< ours, as the slices have it
  std::string listen;                      ///< for other proxies' questions
  std::string internal_port = "internal";  ///< names of ports in the slices
  std::string hand_over_port = "hand-over";
  Duration fence = std::chrono::seconds(5);  ///< a proxy silent for so long holds nothing
  Duration ask_every = std::chrono::milliseconds(50);
  uint64_t life = 0;
};

/// The shared counters, which this side does not see.
struct SlotAccess {
  /// So many slots count as taken, in place of `before`.
  std::function<void(EndpointSlots& slots, uint32_t before, uint32_t now)> reserve;
  /// Reserved ones included.
  std::function<uint32_t(const EndpointSlots& slots)> in_flight;
  /// Fewer are reserved: whoever waits may look again.
  std::function<void()> freed;
};

class Homes final : public control::HttpService, private k8s::WatchListener<k8s::EndpointSlice> {
 public:
  /// `moved`: who is home may have changed, every limited workload is to be placed anew.
  Homes(control::Network& network, obs::Log& log, HomesOptions options, SlotAccess access,
        std::function<void()> moved);
  ~Homes() override;
  Homes(const Homes&) = delete;
  Homes& operator=(const Homes&) = delete;

  [[nodiscard]] absl::Status Start();
  [[nodiscard]] k8s::WatchListener<k8s::EndpointSlice>& slices() { return *this; }
  [[nodiscard]] bool synced() const { return synced_; }

  /// The set as it stands where we are home or it has no limit, with what may not be granted
  /// reserved; else one that leads to its home. `key` is what workloads share that share pods.
  [[nodiscard]] EndpointSetPtr Place(std::shared_ptr<EndpointSet> set, const std::string& key);
  /// Nothing of ours is in flight that another proxy waits for.
  [[nodiscard]] bool HandedOver() const;

  void Serve(control::IncomingRequest request,
             std::unique_ptr<control::HttpResponder> responder) override;

 private:
  struct Proxy {
    uint16_t internal_port = 0;
    uint16_t hand_over_port = 0;
    bool ready = false;
    bool operator==(const Proxy&) const = default;
  };
  struct Call {
    uint64_t round = 0;
    int status = 0;
    std::string body;
    std::unique_ptr<control::HttpClient> client;
    std::unique_ptr<control::HttpCall> http;
  };
  /// The slots of one pod of a limited workload.
  struct Entry {
    std::string key;
    std::shared_ptr<EndpointSlots> slots;
    uint32_t reserved = 0;
  };

  void OnUpsert(k8s::EndpointSlice slice) override;
  void OnDelete(const ObjectKey& key, const std::string& uid) override;
  void OnSynced() override;
  void ReadSlices();
  void Tick();
  void AskWhoIsOwed();
  void Ask(const std::string& name, const Proxy& proxy);
  void OnAnswered(const std::string& name, const absl::Status& status);
  void Sync();
  [[nodiscard]] uint32_t ToReserve(const EndpointKey& pod, const std::string& key,
                                   bool grants) const;
  /// False: there are more than an answer holds.
  [[nodiscard]] bool AddHeld(wire::HomeClaim& answer, const wire::HomeClaim& claim) const;
  [[nodiscard]] EndpointSetPtr Away(const EndpointSet& set, std::string_view home) const;

  control::Network& network_;
  obs::Log& log_;
  HomesOptions options_;
  SlotAccess access_;
  std::function<void()> moved_;
  HomeClaims claims_;
  std::map<std::string, k8s::EndpointSlice> slices_;
  std::map<std::string, Proxy> proxies_;  ///< by address
  std::map<std::string, Proxy> former_;   ///< no longer listed, and still owing us something
  std::map<std::string, Call> calls_;     ///< by address
  std::map<EndpointKey, Entry> entries_;
  std::set<std::string> told_;  ///< whom the last answer said that we hold something
  std::unique_ptr<control::HttpListener> listener_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  control::TimerId timer_ = 0;
  bool synced_ = false;
  uint32_t quiet_ticks_ = 0;  ///< in which nothing could have changed
};

}  // namespace rouse::proxy
