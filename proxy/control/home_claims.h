#pragma once
// What:      HomeClaims, who is home to a limited workload, and whether we may grant its slots: of
//            all ready proxies the one that a rendezvous hash chooses, once every other proxy has
//            been asked (15.6). Pure: messages and moments go in, decisions come out.
// Owner:     Homes, on the control thread; the simulation.
// Limits:    wire::kMembersMax proxies.
// Invariant: of two proxies that hear each other within the fence, at most one grants a workload.
// Never:     believes a proxy gone that was heard from within the fence.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/wire/claim_codec.h"
#include "proxy/model/endpoint_set.h"

namespace rouse::proxy {

/// The weight of a proxy for a workload's key: the same everywhere; the greatest is home.
[[nodiscard]] uint64_t HomeWeight(std::string_view key, std::string_view proxy);
/// Empty where there are no members.
[[nodiscard]] std::string_view HomeAmong(std::string_view key,
                                         const std::vector<std::string>& members);

class HomeClaims {
 public:
  struct Proxy {
    std::string name;
    bool ready = false;
  };

  /// `life` tells this process from an earlier one under the same name.
  HomeClaims(std::string self, uint64_t life, Duration fence);

  /// The proxies as the cluster lists them. True: who is home may have changed.
  bool SetProxies(const std::vector<Proxy>& listed, TimePoint now);
  /// Time has passed. After a pause of half a fence others may have taken us for gone: all are
  /// asked anew, and until they have answered nothing is granted.
  /// True: that is so, or somebody has been forgotten.
  bool Advance(TimePoint now);

  [[nodiscard]] const std::string& self() const { return self_; }
  [[nodiscard]] std::string_view HomeOf(std::string_view key) const {
    return HomeAmong(key, members_);
  }
  [[nodiscard]] bool IsHome(std::string_view key) const { return HomeOf(key) == self_; }
  /// We are home, and nobody else can be granting.
  [[nodiscard]] bool Grants(std::string_view key, TimePoint now) const;
  /// What other proxies still have in flight at a pod.
  [[nodiscard]] uint32_t HeldElsewhere(std::string_view key, const EndpointKey& pod,
                                       TimePoint now) const;
  /// Everybody has been asked, and nothing of ours is elsewhere.
  [[nodiscard]] bool Settled(TimePoint now) const;

  /// Who is to be asked now, or again.
  [[nodiscard]] std::vector<std::string> ToAsk(TimePoint now) const;
  /// The question to `proxy`, which is on its way from here on.
  [[nodiscard]] wire::HomeClaim Ask(const std::string& proxy, TimePoint now);
  /// Another's question. From here on we do not grant what it claims with more right; whoever
  /// answers it adds what we still have in flight of that.
  void OnClaim(const wire::HomeClaim& claim, TimePoint now);
  [[nodiscard]] wire::HomeClaim Answer() const { return Mine(); }
  /// The answer to the question that carried `round`.
  void OnAnswer(const wire::HomeClaim& answer, uint64_t round, TimePoint now);

 private:
  struct Peer {
    bool listed = false;
    bool known = false;  ///< has been ready, or was heard: it may hold something
    uint64_t life = 0;
    uint64_t round = 0;  ///< of its own, as last told
    std::vector<std::string> members;
    uint64_t answered = 0;        ///< our round
    TimePoint asked_at = kNever;  ///< the first question without an answer
    TimePoint unlisted_at = kNever;
    std::map<std::pair<std::string, EndpointKey>, uint32_t> held;
  };

  [[nodiscard]] wire::HomeClaim Mine() const;
  void Learn(Peer& peer, const wire::HomeClaim& told);
  [[nodiscard]] bool Counts(const Peer& peer, TimePoint now) const;
  [[nodiscard]] bool Owes(const Peer& peer) const;
  [[nodiscard]] bool IsSilent(const Peer& peer, TimePoint now) const;
  [[nodiscard]] bool ClaimsMore(const std::string& name, const Peer& peer,
                                std::string_view key) const;

  std::string self_;
  uint64_t life_;
  Duration fence_;
  std::vector<std::string>
      members_;  ///< ready ones, in order; ourselves where none is; empty at first
  uint64_t round_ = 1;
  TimePoint born_ = kNever;
  TimePoint advanced_ = kNever;
  std::map<std::string, Peer> peers_;
};

}  // namespace rouse::proxy
