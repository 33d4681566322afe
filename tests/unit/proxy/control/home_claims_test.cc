#include "proxy/control/home_claims.h"

#include <set>

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kFence = seconds(5);
const EndpointKey kPod{"pod", 8080};
TimePoint At(Duration since) { return TimePoint() + seconds(100) + since; }

std::vector<HomeClaims::Proxy> Ready(std::initializer_list<const char*> names) {
  std::vector<HomeClaims::Proxy> proxies;
  for (const char* name : names) proxies.push_back({name, true});
  return proxies;
}

/// One question and its answer, at once. `held`: what the asked one has in flight of that key.
void Exchange(HomeClaims& asker, HomeClaims& asked, TimePoint now, const std::string& key = "",
              uint32_t held = 0) {
  const wire::HomeClaim claim = asker.Ask(asked.self(), now);
  asked.OnClaim(claim, now);
  wire::HomeClaim answer = asked.Answer();
  if (held > 0) answer.held.push_back({key, kPod.pod_uid, kPod.port, held});
  asker.OnAnswer(answer, claim.round, now);
}

/// A key whose home among these is the given one.
std::string KeyOf(std::string_view home, const std::vector<std::string>& members) {
  for (int i = 0;; ++i) {
    const std::string key = "ns/deployment/" + std::to_string(i);
    if (HomeAmong(key, members) == home) return key;
  }
}

TEST_CASE("homes are spread evenly, and a proxy that goes or comes moves only its own share") {
  const std::vector<std::string> three = {"10.0.0.1", "10.0.0.2", "10.0.0.3"};
  const std::vector<std::string> four = {"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"};
  std::map<std::string, int> share;
  int moved = 0;
  for (int i = 0; i < 10000; ++i) {
    const std::string key = "ns" + std::to_string(i % 7) + "/deployment/fn-" + std::to_string(i);
    const std::string_view before = HomeAmong(key, three);
    const std::string_view after = HomeAmong(key, four);
    ++share[std::string(after)];
    if (before == after) continue;
    ++moved;
    REQUIRE(after == "10.0.0.4");
  }
  for (const auto& [name, count] : share) CHECK((count > 2300 && count < 2700));
  CHECK((moved > 2300 && moved < 2700));
  CHECK(HomeAmong("any", {}).empty());
  // The same in every build and on every machine: proxies of two versions must agree.
  CHECK(HomeWeight("ns/deployment/fn", "10.0.0.1") == 0x167e5fca8ad5dfd5ULL);
}

TEST_CASE("a proxy that is alone grants everything") {
  HomeClaims claims("a", 1, kFence);
  CHECK_FALSE(claims.Grants("key", At({})));  // it does not know that yet
  claims.SetProxies({{"a", false}}, At({}));
  CHECK(claims.IsHome("key"));
  CHECK(claims.Grants("key", At({})));
  CHECK(claims.Settled(At({})));
}

TEST_CASE("a home grants once all others have answered, less what they still have in flight") {
  HomeClaims a("a", 1, kFence);
  HomeClaims b("b", 2, kFence);
  const std::string key = KeyOf("a", {"a", "b"});
  for (HomeClaims* each : {&a, &b}) each->SetProxies(Ready({"a", "b"}), At({}));
  CHECK(a.IsHome(key));
  CHECK_FALSE(b.IsHome(key));
  CHECK_FALSE(a.Grants(key, At({})));
  CHECK(a.ToAsk(At({})) == std::vector<std::string>{"b"});
  Exchange(a, b, At({}), key, 2);
  CHECK(a.Grants(key, At({})));
  CHECK(a.HeldElsewhere(key, kPod, At({})) == 2);
  CHECK(a.HeldElsewhere(key, {"other", 8080}, At({})) == 0);
  CHECK_FALSE(a.Settled(At({})));  // it is asked on until nothing is held
  Exchange(a, b, At(milliseconds(50)), key, 0);
  CHECK(a.HeldElsewhere(key, kPod, At(milliseconds(50))) == 0);
  CHECK(a.Settled(At(milliseconds(50))));
}

TEST_CASE("who does not answer is waited for as long as the fence, from the first question on") {
  HomeClaims a("a", 1, kFence);
  const std::string key = KeyOf("a", {"a", "b"});
  a.SetProxies(Ready({"a", "b"}), At({}));
  (void)a.Ask("b", At({}));
  (void)a.Ask("b", At(seconds(4)));
  CHECK_FALSE(a.Grants(key, At(kFence - milliseconds(1))));
  CHECK(a.Grants(key, At(kFence)));
  CHECK(a.Settled(At(kFence)));
}

TEST_CASE("what a proxy held is waited for no longer than a fence once it is silent") {
  HomeClaims a("a", 1, kFence);
  HomeClaims b("b", 2, kFence);
  const std::string key = KeyOf("a", {"a", "b"});
  for (HomeClaims* each : {&a, &b}) each->SetProxies(Ready({"a", "b"}), At({}));
  Exchange(a, b, At({}), key, 1);
  (void)a.Ask("b", At(milliseconds(50)));
  CHECK(a.HeldElsewhere(key, kPod, At(kFence)) == 1);
  CHECK(a.HeldElsewhere(key, kPod, At(milliseconds(50) + kFence)) == 0);
}

TEST_CASE("of two that each take themselves for home the one with more weight grants") {
  // `b` does not know yet that `a` is ready; both have heard each other.
  const std::string key = KeyOf("a", {"a", "b"});
  HomeClaims a("a", 1, kFence);
  HomeClaims b("b", 2, kFence);
  a.SetProxies(Ready({"a", "b"}), At({}));
  b.SetProxies({{"a", false}, {"b", true}}, At({}));
  CHECK(a.IsHome(key));
  CHECK(b.IsHome(key));
  Exchange(b, a, At({}));
  CHECK_FALSE(b.Grants(key, At({})));
  Exchange(a, b, At({}));
  CHECK(a.Grants(key, At({})));
  CHECK_FALSE(b.Grants(key, At({})));
  CHECK_FALSE(a.Settled(At({})));  // until their views agree
  // What only `b` claims by either view it grants.
  const std::string other = KeyOf("b", {"a", "b"});
  CHECK(b.Grants(other, At({})));
  b.SetProxies(Ready({"a", "b"}), At({}));
  CHECK_FALSE(b.Grants(other, At({})));  // a new view: everybody is asked again
  Exchange(b, a, At({}));
  CHECK(b.Grants(other, At({})));
  CHECK(b.Settled(At({})));
  Exchange(a, b, At({}));
  CHECK(a.Settled(At({})));
}

TEST_CASE("a question stops the one that has granted so far before its answer leaves") {
  const std::string key = KeyOf("b", {"a", "b"});
  HomeClaims a("a", 1, kFence);
  HomeClaims b("b", 2, kFence);
  a.SetProxies({{"a", true}, {"b", false}}, At({}));
  Exchange(a, b, At({}));
  CHECK(a.Grants(key, At({})));
  b.SetProxies(Ready({"a", "b"}), At(seconds(1)));
  a.OnClaim(b.Ask("a", At(seconds(1))), At(seconds(1)));
  CHECK_FALSE(a.Grants(key, At(seconds(1))));  // though its own view still says it is home
}

TEST_CASE("a proxy that was never ready is not waited for, unless we are as young") {
  HomeClaims a("a", 1, kFence);
  const std::string key = KeyOf("a", {"a"});
  a.SetProxies(Ready({"a"}), At({}));
  a.SetProxies({{"a", true}, {"new", false}}, At(seconds(1)));
  CHECK_FALSE(a.Grants(key, At(seconds(1))));
  CHECK(a.Grants(key, At(kFence)));
  a.SetProxies({{"a", true}, {"new", false}, {"newer", false}}, At(seconds(20)));
  CHECK(a.Grants(key, At(seconds(20))));
}

TEST_CASE("a proxy that has left the list holds nothing any more after a fence") {
  HomeClaims a("a", 1, kFence);
  HomeClaims b("b", 2, kFence);
  const std::string key = KeyOf("a", {"a", "b"});
  for (HomeClaims* each : {&a, &b}) each->SetProxies(Ready({"a", "b"}), At({}));
  Exchange(a, b, At({}));
  a.SetProxies(Ready({"a"}), At(seconds(1)));
  CHECK_FALSE(a.Grants(key, At(seconds(1))));
  CHECK(a.ToAsk(At(seconds(1))) == std::vector<std::string>{"b"});
  (void)a.Ask("b", At(seconds(1)));
  CHECK(a.Grants(key, At(seconds(1) + kFence)));
  a.Advance(At(seconds(1) + kFence));
  // It is forgotten: the next change waits for nobody.
  a.SetProxies(Ready({"a", "c"}), At(seconds(20)));
  HomeClaims c("c", 3, kFence);
  c.SetProxies(Ready({"a", "c"}), At(seconds(20)));
  Exchange(a, c, At(seconds(20)));
  CHECK(a.Settled(At(seconds(20))));
}

TEST_CASE("after a pause of half a fence everybody is asked anew before anything is granted") {
  HomeClaims a("a", 1, kFence);
  HomeClaims b("b", 2, kFence);
  const std::string key = KeyOf("a", {"a", "b"});
  for (HomeClaims* each : {&a, &b}) each->SetProxies(Ready({"a", "b"}), At({}));
  a.Advance(At({}));
  Exchange(a, b, At({}));
  a.Advance(At(kFence / 2 - milliseconds(1)));
  CHECK(a.Grants(key, At(kFence / 2)));
  a.Advance(At(kFence));
  CHECK_FALSE(a.Grants(key, At(kFence)));
  Exchange(a, b, At(kFence));
  CHECK(a.Grants(key, At(kFence)));
}

TEST_CASE("an answer that a later one has overtaken does not say what is held") {
  HomeClaims a("a", 1, kFence);
  HomeClaims b("b", 2, kFence);
  const std::string key = KeyOf("a", {"a", "b"});
  for (HomeClaims* each : {&a, &b}) each->SetProxies({{"a", false}, {"b", true}}, At({}));
  const wire::HomeClaim early = a.Ask("b", At({}));
  const wire::HomeClaim overtaken = b.Answer();  // nothing: `a` did not claim the key then
  for (HomeClaims* each : {&a, &b}) each->SetProxies(Ready({"a", "b"}), At({}));
  Exchange(a, b, At({}), key, 1);
  a.OnAnswer(overtaken, early.round, At({}));
  CHECK(a.HeldElsewhere(key, kPod, At({})) == 1);
}

TEST_CASE("old news changes nothing: answers to earlier questions, claims of earlier rounds") {
  HomeClaims a("a", 1, kFence);
  HomeClaims b("b", 2, kFence);
  const std::string key = KeyOf("a", {"a", "b", "c"});
  for (HomeClaims* each : {&a, &b}) each->SetProxies(Ready({"a", "b"}), At({}));
  const wire::HomeClaim early = a.Ask("b", At({}));
  const wire::HomeClaim stale = b.Ask("a", At({}));
  b.OnClaim(early, At({}));
  const wire::HomeClaim answer = b.Answer();
  a.SetProxies(Ready({"a", "b", "c"}), At(seconds(1)));
  a.OnAnswer(answer, early.round, At(seconds(1)));
  CHECK_FALSE(a.Grants(key, At(seconds(1))));  // it answered another question
  b.SetProxies(Ready({"a", "b", "c"}), At(seconds(1)));
  a.OnClaim(b.Ask("a", At(seconds(1))), At(seconds(1)));
  a.OnClaim(stale, At(seconds(1)));
  Exchange(a, b, At(seconds(1)));
  CHECK(a.ToAsk(At(seconds(1))) == std::vector<std::string>{"c"});
}

}  // namespace
}  // namespace rouse::proxy
