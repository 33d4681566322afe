#include "k8s/api_client.h"

#include <catch2/catch.hpp>

#include "k8s/api_call.h"
#include "k8s/api_session.h"
#include "k8s/api_types.h"
#include "k8s/objects/service.h"
#include "tests/unit/k8s/client/api_fixture.h"

namespace rouse::k8s {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// What became of a plain call.
struct Reply {
  int count = 0;
  absl::StatusOr<std::string> result = absl::UnknownError("not yet");
  BodyHandler Handler() {
    return [this](absl::StatusOr<std::string> body) {
      ++count;
      result = std::move(body);
    };
  }
};

TEST_CASE("a call carries who we are, our token and what is asked for") {
  ApiFixture api;
  Reply reply;
  const auto call = api.client.Get(Service::kType, {"ns", "fn"}, reply.Handler());
  CHECK(reply.count == 0);
  const control::IncomingRequest request = api.Answer(200, "{}");
  CHECK(request.method == "GET");
  CHECK(request.target == "/base/api/v1/namespaces/ns/services/fn");
  CHECK(control::FindHeader(request.headers, "User-Agent") == "rouse/9.9 (linux/amd64) test");
  CHECK(control::FindHeader(request.headers, "Authorization") == "Bearer secret-1");
  CHECK(control::FindHeader(request.headers, "Accept") == "application/json");
  CHECK(reply.count == 1);
  CHECK(*reply.result == "{}");
}

TEST_CASE("writes name their field manager and content type") {
  ApiFixture api;
  Reply reply;
  auto call = api.client.Create(Service::kType, "ns", "{\"a\":1}", reply.Handler());
  control::IncomingRequest request = api.Answer(201, "{}");
  CHECK(request.method == "POST");
  CHECK(PathOf(request) == "/base/api/v1/namespaces/ns/services");
  CHECK(QueryOf(request, "fieldManager") == "test");
  CHECK(control::FindHeader(request.headers, "Content-Type") == "application/json");
  CHECK(request.body == "{\"a\":1}");
  call = api.client.Update(Service::kType, {"ns", "fn"}, "{}", reply.Handler());
  request = api.Answer(200, "{}");
  CHECK(request.method == "PUT");
  CHECK(PathOf(request) == "/base/api/v1/namespaces/ns/services/fn");
  call = api.client.JsonPatch("/api/v1/x", "[]", CallClass::kWrite, reply.Handler());
  request = api.Answer(200, "{}");
  CHECK(request.method == "PATCH");
  CHECK(control::FindHeader(request.headers, "Content-Type") == "application/json-patch+json");
  CHECK(reply.count == 3);
}

TEST_CASE("a refusal tells its code, reason and Retry-After") {
  ApiFixture api;
  Reply reply;
  const auto call = api.client.Get(Service::kType, {"ns", "fn"}, reply.Handler());
  api.Answer(429, StatusText(429, "TooManyRequests", "slow down"), {{"Retry-After", "7"}});
  CHECK(absl::IsResourceExhausted(reply.result.status()));
  CHECK(reply.result.status().message() == "slow down");
  const auto failure = FailureOf(reply.result.status());
  REQUIRE(failure.has_value());
  CHECK(failure->reason == "TooManyRequests");
  CHECK(failure->retry_after == seconds(7));
  CHECK(api.client.counters().failed == 1);
}

TEST_CASE("a Retry-After holds back further calls of its class and no other") {
  ApiFixture api;
  Reply first;
  const auto call = api.client.Get(Service::kType, {"ns", "a"}, first.Handler());
  api.Answer(503, "", {{"Retry-After", "5"}});
  const TimePoint refused = api.clock.now();
  Reply later;
  const auto held = api.client.Get(Service::kType, {"ns", "b"}, later.Handler());
  api.RunFor(milliseconds(4900));
  CHECK(api.service.taken.empty());
  Reply urgent;
  const auto wake = api.client.MergePatch("/apis/x", "{}", CallClass::kWake, urgent.Handler());
  api.Answer(200, "{}");
  CHECK(urgent.result.ok());
  api.RunFor(milliseconds(100));
  api.Answer(200, "{}");
  CHECK(later.result.ok());
  CHECK(api.clock.now() - refused >= seconds(5));
  CHECK(api.client.counters().throttled == 1);
}

TEST_CASE("after a 401 the token is read again and the call repeated once") {
  ApiFixture api;
  Reply reply;
  const auto call = api.client.Get(Service::kType, {"ns", "fn"}, reply.Handler());
  api.files["/token"] = "secret-2";
  api.Answer(401, StatusText(401, "Unauthorized", "no"));
  CHECK(reply.count == 0);
  const control::IncomingRequest again = api.Answer(200, "{}");
  CHECK(control::FindHeader(again.headers, "Authorization") == "Bearer secret-2");
  CHECK(reply.result.ok());

  Reply hopeless;
  const auto other = api.client.Get(Service::kType, {"ns", "fn"}, hopeless.Handler());
  api.Answer(401, "");
  api.Answer(401, "");
  CHECK(hopeless.count == 1);
  CHECK(absl::IsUnauthenticated(hopeless.result.status()));
  CHECK(api.service.taken.empty());
}

TEST_CASE("a call that is not answered ends at its deadline") {
  ApiFixture api;
  Reply reply;
  ApiRequest request;
  request.path = "/api/v1/slow";
  request.deadline = seconds(4);
  const auto call = api.client.Send(std::move(request), reply.Handler());
  control::ScriptedService::Taken taken = api.Take();
  taken.responder->Begin(200, {});
  for (int i = 0; i < 3; ++i) {
    api.RunFor(milliseconds(1300));
    static_cast<void>(taken.responder->Write("x"));
  }
  CHECK(reply.count == 0);
  api.RunFor(milliseconds(200));
  CHECK(reply.count == 1);
  CHECK(absl::IsDeadlineExceeded(reply.result.status()));
}

TEST_CASE("calls beyond the budget wait for their turn, and not beyond their deadline") {
  ApiLimits limits;
  limits.read = {0.5, 2};
  ApiFixture api(1, limits);
  std::vector<Reply> replies(12);
  std::vector<std::unique_ptr<ApiCall>> calls;
  api.service.on_request = [](control::ScriptedService::Taken taken) {
    taken.responder->Respond(200, {}, "{}");
  };
  for (Reply& reply : replies) {
    calls.push_back(api.client.Get(Service::kType, {"ns", "fn"}, reply.Handler()));
  }
  api.Settle();
  const auto answered = [&] {
    return std::count_if(replies.begin(), replies.end(),
                         [](const Reply& reply) { return reply.result.ok(); });
  };
  CHECK(answered() == 2);
  api.RunFor(seconds(4));
  CHECK(answered() == 4);
  api.RunFor(seconds(20));
  CHECK(answered() == 9);  // at 2, 4, ..., 14 s; the deadline is at 15 s
  CHECK(absl::IsDeadlineExceeded(replies.back().result.status()));
}

TEST_CASE("however many reads wait for their turn, a watch and a list go at once") {
  ApiLimits limits;
  limits.read = {0.5, 1};
  ApiFixture api(1, limits);
  std::vector<Reply> replies(100);
  std::vector<std::unique_ptr<ApiCall>> calls;
  for (Reply& reply : replies)
    calls.push_back(api.client.Get(Service::kType, {"ns", "fn"}, reply.Handler()));
  api.Settle();
  CHECK(PathOf(api.Answer(200, "{}")).ends_with("/services/fn"));
  WatchHandlers watching;
  watching.on_end = [](const absl::Status&) {};
  const auto watch = api.client.Watch(Service::kType, "", {}, std::move(watching));
  ListHandlers listing;
  listing.on_end = [](const absl::StatusOr<std::string>&) {};
  const auto list = api.client.List(Service::kType, "", {}, std::move(listing));
  api.Settle();
  CHECK(QueryOf(api.Take().request, "watch") == "1");
  CHECK(QueryOf(api.Take().request, "limit") != "-");
}

TEST_CASE("an answer larger than the limit is refused") {
  ApiLimits limits;
  limits.reply_bytes_max = 10;
  ApiFixture api(1, limits);
  Reply reply;
  const auto call = api.client.Get(Service::kType, {"ns", "fn"}, reply.Handler());
  api.Answer(200, "12345678901");
  CHECK(absl::IsResourceExhausted(reply.result.status()));
  CHECK(reply.count == 1);
}

TEST_CASE("a call that is destroyed tells nobody, also from inside its own handler") {
  ApiFixture api;
  Reply reply;
  auto call = api.client.Get(Service::kType, {"ns", "fn"}, reply.Handler());
  control::ScriptedService::Taken taken = api.Take();
  call = nullptr;
  taken.responder->Respond(200, {}, "{}");
  api.Settle();
  CHECK(reply.count == 0);

  std::unique_ptr<ApiCall> self;
  int calls = 0;
  self = api.client.Get(Service::kType, {"ns", "fn"}, [&](const absl::StatusOr<std::string>&) {
    self = nullptr;
    ++calls;
  });
  api.Answer(200, "{}");
  CHECK(calls == 1);
}

TEST_CASE("a refused or cut connection is told as unavailable") {
  ApiFixture api;
  api.network.SetLink("*", {Duration(), Duration(), true, false});
  Reply reply;
  const auto call = api.client.Get(Service::kType, {"ns", "fn"}, reply.Handler());
  api.Settle();
  CHECK(absl::IsUnavailable(reply.result.status()));
  CHECK_FALSE(FailureOf(reply.result.status()).has_value());
}

// ---- scale ------------------------------------------------------------------------------------

const ScaleTarget kTarget{"apps", "v1", "deployments", "fn"};

TEST_CASE("scale is read and written with the version it was read at") {
  ApiFixture api;
  absl::StatusOr<Scale> scale = absl::UnknownError("");
  const auto take = [&](absl::StatusOr<Scale> got) { scale = std::move(got); };
  auto call = api.client.ReadScale(kTarget, "ns", CallClass::kWake, take);
  control::IncomingRequest request = api.Answer(
      200, R"({"metadata":{"name":"fn","namespace":"ns","resourceVersion":"12"},"spec":{}})");
  CHECK(PathOf(request) == "/base/apis/apps/v1/namespaces/ns/deployments/fn/scale");
  REQUIRE(scale.ok());
  CHECK(scale->spec_replicas == 0);

  call =
      api.client.PatchScale(kTarget, "ns", 2, scale->meta.resource_version, CallClass::kWake, take);
  request = api.Answer(409, StatusText(409, "Conflict", "the object has been modified"));
  CHECK(request.method == "PATCH");
  CHECK(control::FindHeader(request.headers, "Content-Type") == "application/merge-patch+json");
  CHECK(request.body == R"({"spec":{"replicas":2},"metadata":{"resourceVersion":"12"}})");
  CHECK(absl::IsAborted(scale.status()));
}

// ---- lists ------------------------------------------------------------------------------------

struct Listed {
  std::vector<std::string> items;
  int restarts = 0;
  int ends = 0;
  absl::StatusOr<std::string> version = absl::UnknownError("not yet");
  ListHandlers Handlers() {
    ListHandlers handlers;
    handlers.on_item = [this](std::string_view item) { items.emplace_back(item); };
    handlers.on_restart = [this] {
      ++restarts;
      items.clear();
    };
    handlers.on_end = [this](absl::StatusOr<std::string> end) {
      ++ends;
      version = std::move(end);
    };
    return handlers;
  }
};

TEST_CASE("a list from the newest state comes in pages, without a version beside continue") {
  ApiFixture api;
  Listed listed;
  const auto call =
      api.client.List(Service::kType, "", {"a=b,c", "metadata.name=x", ""}, listed.Handlers());
  control::IncomingRequest request = api.Answer(200, ListText("5", {"{\"a\":1}"}, "p2"));
  CHECK(PathOf(request) == "/base/api/v1/services");
  CHECK(QueryOf(request, "limit") == "500");
  CHECK(QueryOf(request, "labelSelector") == "a%3Db%2Cc");
  CHECK(QueryOf(request, "fieldSelector") == "metadata.name%3Dx");
  CHECK(QueryOf(request, "resourceVersion") == "-");
  request = api.Answer(200, ListText("5", {"{\"b\":1}", "{}"}));
  CHECK(QueryOf(request, "continue") == "p2");
  CHECK(QueryOf(request, "resourceVersion") == "-");
  CHECK(listed.items == std::vector<std::string>{"{\"a\":1}", "{\"b\":1}", "{}"});
  CHECK(*listed.version == "5");
  CHECK(listed.ends == 1);
}

TEST_CASE("a list at a version asks for nothing older and sets no limit") {
  ApiFixture api;
  Listed listed;
  auto call = api.client.List(Service::kType, "ns", {"", "", "0"}, listed.Handlers());
  control::IncomingRequest request = api.Answer(200, ListText("5", {}));
  CHECK(QueryOf(request, "resourceVersion") == "0");
  CHECK(QueryOf(request, "limit") == "-");
  call = api.client.List(Service::kType, "ns", {"", "", "77"}, listed.Handlers());
  request = api.Answer(200, ListText("78", {}));
  CHECK(QueryOf(request, "resourceVersion") == "77");
  CHECK(QueryOf(request, "resourceVersionMatch") == "NotOlderThan");
  CHECK(listed.ends == 2);
}

TEST_CASE("a 410 on a later page begins the list again, but not for ever") {
  ApiFixture api;
  Listed listed;
  const auto call = api.client.List(Service::kType, "ns", {}, listed.Handlers());
  api.Answer(200, ListText("5", {"{\"old\":1}"}, "p2"));
  api.Answer(410, StatusText(410, "Expired", "continue token expired"));
  const control::IncomingRequest request = api.Answer(200, ListText("9", {"{\"new\":1}"}, "p2"));
  CHECK(QueryOf(request, "continue") == "-");
  api.Answer(200, ListText("9", {}));
  CHECK(listed.restarts == 1);
  CHECK(listed.items == std::vector<std::string>{"{\"new\":1}"});
  CHECK(*listed.version == "9");

  Listed endless;
  const auto other = api.client.List(Service::kType, "ns", {}, endless.Handlers());
  for (int i = 0; i < 4; ++i) {
    api.Answer(200, ListText("5", {}, "p2"));
    api.Answer(410, "");
  }
  CHECK(endless.ends == 1);
  CHECK(IsExpired(endless.version.status()));
}

TEST_CASE("a list that fails or is no list ends with the reason") {
  ApiFixture api;
  Listed listed;
  auto call = api.client.List(Service::kType, "ns", {"", "", "3"}, listed.Handlers());
  api.Answer(410, StatusText(410, "Expired", "too old"));
  CHECK(IsExpired(listed.version.status()));
  call = api.client.List(Service::kType, "ns", {}, listed.Handlers());
  api.Answer(200, "<html>");
  CHECK(absl::IsInvalidArgument(listed.version.status()));
  CHECK(listed.ends == 2);
}

TEST_CASE("a list may be destroyed by its own handlers") {
  ApiFixture api;
  std::unique_ptr<ApiCall> call;
  int items = 0;
  ListHandlers handlers;
  handlers.on_item = [&](std::string_view) {
    ++items;
    call = nullptr;
  };
  handlers.on_end = [&](const absl::StatusOr<std::string>&) { FAIL("told after the end"); };
  call = api.client.List(Service::kType, "ns", {}, std::move(handlers));
  api.Answer(200, ListText("5", {"{}", "{}"}));
  CHECK(items == 1);
}

// ---- watches ----------------------------------------------------------------------------------

struct Watched {
  int opens = 0;
  int ends = 0;
  std::vector<std::string> events;
  absl::Status end;
  WatchHandlers Handlers() {
    WatchHandlers handlers;
    handlers.on_open = [this] { ++opens; };
    handlers.on_event = [this](const WatchEvent& event) {
      events.push_back(std::to_string(static_cast<int>(event.kind)) + std::string(event.object));
    };
    handlers.on_end = [this](absl::Status status) {
      ++ends;
      end = std::move(status);
    };
    return handlers;
  }
};

TEST_CASE("a watch hands on its events however the bytes arrive, to its ordinary end") {
  ApiFixture api;
  Watched watched;
  const auto call =
      api.client.Watch(Service::kType, "ns", {"a=b", "", "17", seconds(333)}, watched.Handlers());
  control::ScriptedService::Taken taken = api.Take();
  CHECK(QueryOf(taken.request, "watch") == "1");
  CHECK(QueryOf(taken.request, "allowWatchBookmarks") == "true");
  CHECK(QueryOf(taken.request, "timeoutSeconds") == "333");
  CHECK(QueryOf(taken.request, "resourceVersion") == "17");
  CHECK(QueryOf(taken.request, "labelSelector") == "a%3Db");
  taken.responder->Begin(200, {});
  api.Settle();
  CHECK(watched.opens == 1);
  const std::string body = EventText("ADDED", "{\"a\":1}") + EventText("MODIFIED", "{\"a\":2}") +
                           EventText("SOMETHING", "{}") + EventText("DELETED", "{\"a\":3}") +
                           EventText("BOOKMARK", "{\"a\":4}");
  for (const char c : body) static_cast<void>(taken.responder->Write({c}));
  api.Settle();
  CHECK(watched.events ==
        std::vector<std::string>{"0{\"a\":1}", "1{\"a\":2}", "2{\"a\":3}", "3{\"a\":4}"});
  api.RunFor(std::chrono::hours(2));
  CHECK(watched.ends == 0);
  taken.responder->End();
  api.Settle();
  CHECK(watched.ends == 1);
  CHECK(watched.end.ok());
}

TEST_CASE("a refused watch, an ERROR event and a torn body each end it with their reason") {
  ApiFixture api;
  const auto end_of = [&](const std::function<void(control::HttpResponder&)>& script) {
    Watched watched;
    const auto call = api.client.Watch(Service::kType, "ns", {}, watched.Handlers());
    control::ScriptedService::Taken taken = api.Take();
    script(*taken.responder);
    api.Settle();
    CHECK(watched.ends == 1);
    return watched.end;
  };
  using control::HttpResponder;
  CHECK(IsExpired(
      end_of([](HttpResponder& r) { r.Respond(410, {}, StatusText(410, "Gone", "x")); })));
  CHECK(absl::IsPermissionDenied(end_of([](HttpResponder& r) { r.Respond(403, {}, "no"); })));
  CHECK(IsExpired(end_of([](HttpResponder& r) {
    r.Respond(200, {},
              EventText("ERROR", StatusText(410, "Expired", "too old")) + EventText("ADDED", "{}"));
  })));
  CHECK(absl::IsInternal(end_of([](HttpResponder& r) {
    r.Respond(200, {}, EventText("ERROR", StatusText(500, "InternalError", "x")));
  })));
  CHECK(absl::IsDataLoss(end_of([](HttpResponder& r) { r.Respond(200, {}, "{\"type\":"); })));
  CHECK(absl::IsInvalidArgument(end_of([](HttpResponder& r) { r.Respond(200, {}, "<html>"); })));
  CHECK(absl::IsInvalidArgument(end_of([](HttpResponder& r) { r.Respond(200, {}, "{\"x\":1}"); })));
  CHECK(absl::IsUnavailable(end_of([](HttpResponder& r) {
    r.Begin(200, {});
    r.Abort();
  })));
}

TEST_CASE("a watch may be destroyed by its own handlers") {
  ApiFixture api;
  std::unique_ptr<ApiCall> call;
  int events = 0;
  WatchHandlers handlers;
  handlers.on_event = [&](const WatchEvent&) {
    call = nullptr;
    ++events;
  };
  handlers.on_end = [](const absl::Status&) { FAIL("told after the end"); };
  call = api.client.Watch(Service::kType, "ns", {}, std::move(handlers));
  api.Answer(200, EventText("ADDED", "{}") + EventText("ADDED", "{}"));
  CHECK(events == 1);
}

TEST_CASE("after a 401 a watch reads the token again and starts once more") {
  ApiFixture api;
  Watched watched;
  const auto call = api.client.Watch(Service::kType, "ns", {}, watched.Handlers());
  api.files["/token"] = "secret-2";
  api.Answer(401, "");
  CHECK(watched.ends == 0);
  control::ScriptedService::Taken taken = api.Take();
  CHECK(control::FindHeader(taken.request.headers, "Authorization") == "Bearer secret-2");
  taken.responder->Respond(401, {}, "");
  api.Settle();
  CHECK(absl::IsUnauthenticated(watched.end));
}

}  // namespace
}  // namespace rouse::k8s
