#include "common/wire/claim_codec.h"

#include <algorithm>
#include <utility>

#include <absl/status/status.h>

#include "common/wire/claim.pb.h"

namespace rouse::wire {
namespace {

/// Names end in logs and pages: printable, without spaces.
bool IsName(std::string_view name) {
  return !name.empty() && name.size() <= kClaimNameMax &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

bool IsSlot(const pb::HeldSlot& slot) {
  return IsName(slot.key()) && IsName(slot.pod_uid()) && slot.port() <= UINT16_MAX &&
         slot.count() > 0;
}

}  // namespace

std::string EncodeClaim(const HomeClaim& claim) {
  pb::HomeClaim message;
  message.set_from(claim.from);
  message.set_life(claim.life);
  message.set_round(claim.round);
  for (const std::string& member : claim.members) message.add_members(member);
  for (const HeldSlot& slot : claim.held) {
    pb::HeldSlot& out = *message.add_held();
    out.set_key(slot.key);
    out.set_pod_uid(slot.pod_uid);
    out.set_port(slot.port);
    out.set_count(slot.count);
  }
  return message.SerializeAsString();
}

absl::StatusOr<HomeClaim> DecodeClaim(std::string_view bytes) {
  if (bytes.size() > kClaimBytesMax) return absl::InvalidArgumentError("the claim is too long");
  pb::HomeClaim message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return absl::InvalidArgumentError("the claim cannot be parsed");
  if (!IsName(message.from())) return absl::InvalidArgumentError("the sender's name is no name");
  if (static_cast<size_t>(message.members_size()) > kMembersMax ||
      static_cast<size_t>(message.held_size()) > kHeldMax)
    return absl::InvalidArgumentError("the claim has too many entries");
  HomeClaim claim;
  claim.from = std::move(*message.mutable_from());
  claim.life = message.life();
  claim.round = message.round();
  for (std::string& member : *message.mutable_members()) {
    if (!IsName(member)) return absl::InvalidArgumentError("a member's name is no name");
    claim.members.push_back(std::move(member));
  }
  for (pb::HeldSlot& slot : *message.mutable_held()) {
    if (!IsSlot(slot)) return absl::InvalidArgumentError("an entry is no slot");
    claim.held.push_back({.key = std::move(*slot.mutable_key()),
                          .pod_uid = std::move(*slot.mutable_pod_uid()),
                          .port = static_cast<uint16_t>(slot.port()),
                          .count = slot.count()});
  }
  return claim;
}

}  // namespace rouse::wire
