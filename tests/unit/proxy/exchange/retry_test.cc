#include "proxy/exchange/retry.h"

#include <catch2/catch.hpp>

namespace rouse::proxy {
namespace {

constexpr Error kRefused{ErrorKind::kConnectRefused, Side::kUpstream, true, "refused"};
constexpr Error kReset{ErrorKind::kUpstreamReset, Side::kUpstream, false, "reset"};

AttemptFacts Facts(const Error& failure) {
  AttemptFacts facts;
  facts.failure = failure;
  return facts;
}

TEST_CASE("what no pod has seen is repeated elsewhere, whatever the method, up to three attempts") {
  AttemptFacts facts = Facts(kRefused);
  CHECK(MayRepeat(facts) == Repeat::kElsewhere);
  facts.attempts = 2;
  CHECK(MayRepeat(facts) == Repeat::kElsewhere);
  facts.attempts = 3;
  CHECK(MayRepeat(facts) == Repeat::kNo);
}

TEST_CASE("a connection that died untouched is repeated once, and only what is idempotent") {
  AttemptFacts facts = Facts(kReset);
  facts.untouched = true;
  CHECK(MayRepeat(facts) == Repeat::kNo);
  facts.idempotent = true;
  CHECK(MayRepeat(facts) == Repeat::kFresh);
  SECTION("not twice") { facts.repeated_fresh = true; }
  SECTION("not with a part of an answer") { facts.untouched = false; }
  SECTION("not with a body that is gone") { facts.body_given = true; }
  SECTION("not once an answer began, 1xx included") { facts.response_begun = true; }
  SECTION("not for a malformed answer") { facts.failure.kind = ErrorKind::kUpstreamProtocol; }
  SECTION("not for a slow one") { facts.failure.kind = ErrorKind::kResponseStartTimeout; }
  CHECK(MayRepeat(facts) == Repeat::kNo);
}

TEST_CASE("what the client or we ourselves did wrong is never repeated") {
  CHECK(MayRepeat(Facts({ErrorKind::kDownstreamClosed, Side::kDownstream, true, ""})) ==
        Repeat::kNo);
  CHECK(MayRepeat(Facts({ErrorKind::kOverloaded, Side::kLocal, true, ""})) == Repeat::kNo);
}

TEST_CASE("repeats at once are bounded by a fifth of what runs, and ten") {
  RetryBudget budget;
  for (int i = 0; i < 12; ++i) CHECK(budget.Take(10));
  CHECK_FALSE(budget.Take(10));
  CHECK(budget.Take(100));
  for (int i = 0; i < 13; ++i) budget.Return();
  CHECK(budget.repeating() == 0);
}

}  // namespace
}  // namespace rouse::proxy
