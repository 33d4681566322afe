#include "k8s/event_recorder.h"

#include <catch2/catch.hpp>

#include "tests/unit/k8s/client/api_fixture.h"

namespace rouse::k8s {
namespace {

using control::ScriptedService;
using std::chrono::minutes;
using std::chrono::seconds;

struct RecorderFixture {
  ApiFixture api;
  EventRecorder recorder;
  std::vector<Event> events;
  int status = 201;

  explicit RecorderFixture(EventLimits limits = {}) : recorder(api.client, 1, limits) {
    api.service.on_request = [this](ScriptedService::Taken taken) {
      CHECK(PathOf(taken.request) == "/base/api/v1/namespaces/ns/events");
      absl::StatusOr<Event> event = Event::Decode(taken.request.body);
      REQUIRE(event.ok());
      events.push_back(*std::move(event));
      taken.responder->Respond(status, {}, "{}");
    };
  }
};

const EventSubject kSubject{"v1", "Service", "ns", "fn", "u1", "3"};

TEST_CASE("an Event names its subject, who says it and what") {
  RecorderFixture f;
  f.recorder.Warning(kSubject, "InvalidAnnotation", "rouse.dev/port: no such port");
  f.api.Settle();
  REQUIRE(f.events.size() == 1);
  const Event& event = f.events[0];
  CHECK(event.subject.uid == "u1");
  CHECK(event.meta.name.rfind("fn.", 0) == 0);
  CHECK(event.warning);
  CHECK(event.reason == "InvalidAnnotation");
  CHECK(event.message == "rouse.dev/port: no such port");
  CHECK(event.component == "test");
  CHECK(event.count == 1);
  CHECK(FormatTimestamp(event.last_time) == "2026-01-01T00:00:00Z");
  CHECK(f.recorder.counters().sent == 1);
}

TEST_CASE("the same remark is told once in ten minutes, and then with its count") {
  RecorderFixture f;
  for (int i = 0; i < 5; ++i) {
    f.recorder.Warning(kSubject, "R", "m");
    f.recorder.Normal(kSubject, "R", "other");
    f.api.RunFor(minutes(1));
  }
  CHECK(f.events.size() == 2);
  CHECK(f.recorder.counters().aggregated == 8);
  f.api.RunFor(minutes(6));
  f.recorder.Warning(kSubject, "R", "m");
  f.api.Settle();
  REQUIRE(f.events.size() == 3);
  CHECK(f.events[2].count == 5);
  CHECK(FormatTimestamp(f.events[2].first_time) == "2026-01-01T00:01:00Z");
  CHECK(f.events[2].meta.name != f.events[0].meta.name);
}

TEST_CASE("a flood of remarks is dropped and counted, not queued") {
  RecorderFixture f;
  for (int i = 0; i < 100; ++i) f.recorder.Normal(kSubject, "R", std::to_string(i));
  f.api.Settle();
  CHECK(f.events.size() == 8);
  CHECK(f.recorder.counters().dropped == 92);
}

TEST_CASE("remembering is bounded, the oldest is forgotten first") {
  EventLimits limits;
  limits.remembered_max = 2;
  RecorderFixture f(limits);
  for (const char* message : {"a", "b", "c", "b", "a"}) {
    f.recorder.Normal(kSubject, "R", message);
    f.api.RunFor(seconds(2));
  }
  CHECK(f.events.size() == 4);
  CHECK(f.recorder.counters().aggregated == 1);
}

TEST_CASE("a refused Event is counted and troubles nobody") {
  RecorderFixture f;
  f.status = 403;
  f.recorder.Normal(kSubject, "R", "m");
  f.api.Settle();
  CHECK(f.recorder.counters().failed == 1);
}

}  // namespace
}  // namespace rouse::k8s
