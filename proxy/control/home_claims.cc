#include "proxy/control/home_claims.h"

#include <algorithm>
#include <utility>

namespace rouse::proxy {
namespace {

/// FNV-1a.
uint64_t HashOf(std::string_view text, uint64_t state) {
  for (const char c : text) state = (state ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
  return state;
}

}  // namespace

uint64_t HomeWeight(std::string_view key, std::string_view proxy) {
  uint64_t hash = HashOf(proxy, HashOf(key, 0xcbf29ce484222325ULL) ^ 0xff);
  // splitmix64's last steps: FNV's high bits know too little of the last bytes.
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9ULL;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111ebULL;
  return hash ^ (hash >> 31);
}

std::string_view HomeAmong(std::string_view key, const std::vector<std::string>& members) {
  std::string_view best;
  uint64_t most = 0;
  for (const std::string& member : members) {
    const uint64_t weight = HomeWeight(key, member);
    if (!best.empty() && (weight < most || (weight == most && member >= best))) continue;
    most = weight;
    best = member;
  }
  return best;
}

HomeClaims::HomeClaims(std::string self, uint64_t life, Duration fence)
    : self_(std::move(self)), life_(life), fence_(fence) {}

bool HomeClaims::SetProxies(const std::vector<Proxy>& listed, TimePoint now) {
  if (born_ == kNever) born_ = now;
  for (auto& [name, peer] : peers_) peer.listed = false;
  std::vector<std::string> members;
  for (const Proxy& proxy : listed) {
    if (proxy.ready) members.push_back(proxy.name);
    if (proxy.name == self_) continue;
    Peer& peer = peers_[proxy.name];
    peer.listed = true;
    peer.unlisted_at = kNever;
    peer.known = peer.known || proxy.ready;
  }
  for (auto& [name, peer] : peers_)
    if (!peer.listed && peer.unlisted_at == kNever) peer.unlisted_at = now;
  if (members.empty()) members.push_back(self_);
  std::sort(members.begin(), members.end());
  members.erase(std::unique(members.begin(), members.end()), members.end());
  if (members == members_) return false;
  members_ = std::move(members);
  ++round_;
  return true;
}

bool HomeClaims::Advance(TimePoint now) {
  const bool paused = advanced_ != kNever && now - advanced_ >= fence_ / 2;
  if (paused) ++round_;
  advanced_ = now;
  const size_t forgotten = std::erase_if(peers_, [&](const auto& entry) {
    const Peer& peer = entry.second;
    if (peer.listed || now - peer.unlisted_at < fence_) return false;
    return IsSilent(peer, now) || !Owes(peer);
  });
  return paused || forgotten > 0;
}

/// Whether it can hold or grant anything. A proxy that was never ready and never claimed has had
/// no leave of ours; in our own first moments we cannot know that.
bool HomeClaims::Counts(const Peer& peer, TimePoint now) const {
  if (IsSilent(peer, now)) return false;
  const bool young = born_ == kNever || now - born_ < fence_;
  return peer.known || young;
}

bool HomeClaims::IsSilent(const Peer& peer, TimePoint now) const {
  return peer.asked_at != kNever && now - peer.asked_at >= fence_;
}

/// By another view of the members it is home, and its weight is the greater.
bool HomeClaims::ClaimsMore(const std::string& name, const Peer& peer, std::string_view key) const {
  if (peer.members == members_ || HomeAmong(key, peer.members) != name) return false;
  return HomeWeight(key, name) >= HomeWeight(key, self_);
}

bool HomeClaims::Grants(std::string_view key, TimePoint now) const {
  if (!IsHome(key)) return false;
  return std::all_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    const auto& [name, peer] = entry;
    if (!Counts(peer, now)) return true;
    return peer.answered == round_ && !ClaimsMore(name, peer, key);
  });
}

uint32_t HomeClaims::HeldElsewhere(std::string_view key, const EndpointKey& pod,
                                   TimePoint now) const {
  uint32_t held = 0;
  for (const auto& [name, peer] : peers_) {
    if (IsSilent(peer, now)) continue;
    const auto found = peer.held.find({std::string(key), pod});
    if (found != peer.held.end()) held += found->second;
  }
  return held;
}

bool HomeClaims::Settled(TimePoint now) const { return ToAsk(now).empty(); }

std::vector<std::string> HomeClaims::ToAsk(TimePoint now) const {
  std::vector<std::string> names;
  // One that has been silent for a fence is asked no more until it says something.
  for (const auto& [name, peer] : peers_)
    if (Counts(peer, now) && Owes(peer)) names.push_back(name);
  return names;
}

/// An answer, slots, or the news of who is ready.
bool HomeClaims::Owes(const Peer& peer) const {
  return peer.answered != round_ || !peer.held.empty() || peer.members != members_;
}

wire::HomeClaim HomeClaims::Mine() const {
  return {.from = self_, .life = life_, .round = round_, .members = members_, .held = {}};
}

wire::HomeClaim HomeClaims::Ask(const std::string& proxy, TimePoint now) {
  const auto found = peers_.find(proxy);
  if (found != peers_.end() && found->second.asked_at == kNever) found->second.asked_at = now;
  return Mine();
}

/// What is older than what it has told before is left.
void HomeClaims::Learn(Peer& peer, const wire::HomeClaim& told) {
  peer.known = true;
  if (told.life == peer.life && told.round < peer.round) return;
  if (told.life != peer.life) peer.held.clear();
  peer.life = told.life;
  peer.round = told.round;
  peer.members = told.members;
}

void HomeClaims::OnClaim(const wire::HomeClaim& claim, TimePoint now) {
  if (claim.from == self_) return;
  const auto [found, fresh] = peers_.try_emplace(claim.from);
  Peer& peer = found->second;
  if (fresh) peer.unlisted_at = now;
  // Back from a silence in which it was taken for gone: what it answered before counts no more.
  if (IsSilent(peer, now)) {
    peer.answered = 0;
    peer.held.clear();
  }
  peer.asked_at = kNever;  // whoever asks is alive
  const std::vector<std::string> before = peer.members;
  Learn(peer, claim);
  // What it gives up by its new view it may have granted until now, since its last answer.
  if (peer.members != before) peer.answered = 0;
}

void HomeClaims::OnAnswer(const wire::HomeClaim& answer, uint64_t round, TimePoint now) {
  const auto found = peers_.find(answer.from);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  // To an earlier question than one that it has answered: what it held was of another claim.
  if (round < peer.answered) return;
  if (answer.life == peer.life && answer.round < peer.round) return;
  peer.asked_at = kNever;
  peer.unlisted_at = peer.listed ? kNever : now;
  Learn(peer, answer);
  peer.answered = std::max(peer.answered, round);
  peer.held.clear();
  for (const wire::HeldSlot& slot : answer.held)
    peer.held[{slot.key, EndpointKey{slot.pod_uid, slot.port}}] += slot.count;
}

}  // namespace rouse::proxy
