#include "common/wire/claim_codec.h"

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::wire {
namespace {

HomeClaim Sample() {
  return {.from = "10.0.0.1",
          .life = UINT64_MAX,
          .round = 7,
          .members = {"10.0.0.1", "fd00::2"},
          .held = {{"ns/deployment/fn", "0b5c-uid", 8080, 3}, {"ns/statefulset/x", "u", 65535, 1}}};
}

TEST_CASE("a claim comes back as it was") {
  const auto back = DecodeClaim(EncodeClaim(Sample()));
  REQUIRE(back.ok());
  CHECK(*back == Sample());
  HomeClaim least;
  least.from = "a";
  CHECK(*DecodeClaim(EncodeClaim(least)) == least);
}

TEST_CASE("what breaks a limit is refused whole") {
  const auto refused = [](auto change) {
    HomeClaim claim = Sample();
    change(claim);
    return !DecodeClaim(EncodeClaim(claim)).ok();
  };
  CHECK(refused([](HomeClaim& claim) { claim.from.clear(); }));
  CHECK(refused([](HomeClaim& claim) { claim.from = "with space"; }));
  CHECK(refused([](HomeClaim& claim) { claim.from = std::string(kClaimNameMax + 1, 'a'); }));
  CHECK(refused([](HomeClaim& claim) { claim.members[0] = "new\nline"; }));
  CHECK(refused([](HomeClaim& claim) { claim.members.resize(kMembersMax + 1, "a"); }));
  CHECK(refused([](HomeClaim& claim) { claim.held[0].key.clear(); }));
  CHECK(refused([](HomeClaim& claim) { claim.held[0].pod_uid = "\x80"; }));
  CHECK(refused([](HomeClaim& claim) { claim.held[0].count = 0; }));
  CHECK(refused([](HomeClaim& claim) { claim.held.resize(kHeldMax + 1, claim.held[0]); }));
  CHECK_FALSE(DecodeClaim(std::string(kClaimBytesMax + 1, '\0')).ok());
  CHECK_FALSE(DecodeClaim("").ok());
}

TEST_CASE("bytes that were cut or changed are refused or read, and never more than that") {
  const std::string bytes = EncodeClaim(Sample());
  for (size_t cut = 0; cut < bytes.size(); ++cut) (void)DecodeClaim(bytes.substr(0, cut));
  Random random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string changed = bytes;
    changed[random.Below(changed.size())] = static_cast<char>(random.Next());
    const auto read = DecodeClaim(changed);
    if (read.ok()) CHECK(read->held.size() <= kHeldMax);
  }
}

}  // namespace
}  // namespace rouse::wire
