#include "k8s/watcher.h"

#include <set>

#include <catch2/catch.hpp>

#include "k8s/watcher_core.h"
#include "tests/unit/k8s/client/watcher_fixture.h"

namespace rouse::k8s {

control::ScriptedService::Taken WatcherFixture::Begin() {
  api.Answer(200, ListText("10", {ServiceText("a", "5")}));
  CHECK(notes.Take() == std::vector<std::string>{"+a@5", "="});
  return Open();
}

control::ScriptedService::Taken WatcherFixture::Open() {
  control::ScriptedService::Taken watch = api.Take();
  CHECK(QueryOf(watch.request, "watch") == "1");
  watch.responder->Begin(200, {});
  api.Settle();
  return watch;
}

namespace {

using control::ScriptedService;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Told = std::vector<std::string>;

TEST_CASE("a watcher lists from the cache, tells all, says synced, and watches from there") {
  WatcherFixture f;
  CHECK_FALSE(f.watcher.synced());
  control::IncomingRequest list =
      f.api.Answer(200, ListText("10", {ServiceText("a", "5"), ServiceText("b", "6")}));
  CHECK(QueryOf(list, "resourceVersion") == "0");
  CHECK(QueryOf(list, "labelSelector") == "rouse.dev%2Fenabled%3Dtrue");
  CHECK(f.watcher.synced());
  CHECK(f.notes.Take() == Told{"+a@5", "+b@6", "="});
  ScriptedService::Taken watch = f.Open();
  CHECK(QueryOf(watch.request, "resourceVersion") == "10");
  CHECK(QueryOf(watch.request, "labelSelector") == "rouse.dev%2Fenabled%3Dtrue");
  const int timeout = std::stoi(QueryOf(watch.request, "timeoutSeconds"));
  CHECK((timeout >= 300 && timeout <= 600));
  f.Write(watch, EventText("MODIFIED", ServiceText("a", "11")) +
                     EventText("ADDED", ServiceText("c", "12")) +
                     EventText("DELETED", ServiceText("b", "13")));
  CHECK(f.notes.Take() == Told{"+a@11", "+c@12", "-b#u"});
  CHECK(f.watcher.size() == 2);
}

TEST_CASE("the ordinary end of a watch is followed by the next from the last version seen") {
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  f.Write(watch, EventText("MODIFIED", ServiceText("a", "11")) + BookmarkText("40"));
  f.api.RunFor(seconds(30));
  watch.responder->End();
  watch = f.Open();
  CHECK(QueryOf(watch.request, "resourceVersion") == "40");
  CHECK(f.notes.Take() == Told{"+a@11"});
  CHECK(f.watcher.counters().lists == 1);
  CHECK(f.watcher.counters().bookmarks == 1);
  CHECK(f.watcher.counters().failures == 0);
}

TEST_CASE("each of the three shapes of 410 leads to a new list at the last version") {
  const auto shape = GENERATE(0, 1, 2);
  CAPTURE(shape);
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  f.api.RunFor(minutes(1));  // the list lies back, so that the next may follow at once
  if (shape == 0) {          // HTTP 410
    watch.responder->End();
    f.api.Answer(410, StatusText(410, "Expired", "too old resource version"));
  } else if (shape == 1) {  // an ERROR event inside a 200
    f.Write(watch, EventText("ERROR", StatusText(410, "Expired", "too old resource version")));
  } else {  // 200s that end at once
    watch.responder->End();
    for (int i = 0; i < 3; ++i) {
      f.WaitForRequest(seconds(10));
      CHECK(QueryOf(f.api.Answer(200, ""), "watch") == "1");
    }
    f.WaitForRequest(seconds(10));
  }
  const control::IncomingRequest list = f.api.Answer(200, ListText("90", {ServiceText("b", "80")}));
  CHECK(QueryOf(list, "watch") == "-");
  CHECK(QueryOf(list, "resourceVersion") == "10");
  CHECK(QueryOf(list, "resourceVersionMatch") == "NotOlderThan");
  CHECK(f.notes.Take() == Told{"-a#u", "+b@80", "="});
  CHECK(f.watcher.counters().expired == 1);
  CHECK(QueryOf(f.Open().request, "resourceVersion") == "90");
}

TEST_CASE("watches that end at once do not become a busy loop") {
  WatcherFixture f;
  f.api.Answer(200, ListText("10", {}));
  int requests = 0;
  f.api.service.on_request = [&](ScriptedService::Taken taken) {
    ++requests;
    const bool watch = QueryOf(taken.request, "watch") == "1";
    taken.responder->Respond(200, {}, watch ? "" : ListText("10", {}));
  };
  while (!f.api.service.taken.empty()) {
    f.api.service.on_request(f.api.Take());
  }
  f.api.RunFor(minutes(10));
  CHECK(requests > 20);
  CHECK(requests < 120);
}

TEST_CASE("410 again and again does not become a storm of lists") {
  WatcherFixture f;
  f.api.Answer(200, ListText("10", {}));
  int lists = 0;
  f.api.service.on_request = [&](ScriptedService::Taken taken) {
    if (QueryOf(taken.request, "watch") == "1") {
      return taken.responder->Respond(410, {}, StatusText(410, "Expired", "x"));
    }
    ++lists;
    taken.responder->Respond(200, {}, ListText("10", {}));
  };
  f.api.service.on_request(f.api.Take());
  f.api.RunFor(minutes(10));
  CHECK(lists > 10);
  CHECK(lists < 80);
}

TEST_CASE("a list at the last version that is gone falls back to the newest, backwards too") {
  const bool too_large = GENERATE(false, true);
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  f.api.RunFor(minutes(1));
  f.Write(watch, EventText("ERROR", StatusText(410, "Expired", "x")));
  if (too_large) {
    f.api.Answer(504, StatusText(504, "Timeout", "Too large resource version: 10, current: 3"));
  } else {
    f.api.Answer(410, StatusText(410, "Expired", "x"));
  }
  CHECK(f.notes.Take().empty());
  f.WaitForRequest(seconds(2));
  const control::IncomingRequest list = f.api.Answer(200, ListText("3", {ServiceText("a", "2")}));
  CHECK(QueryOf(list, "resourceVersion") == "-");
  CHECK(QueryOf(list, "limit") == "500");
  CHECK(f.notes.Take() == Told{"+a@2", "="});
  CHECK(QueryOf(f.Open().request, "resourceVersion") == "3");
}

TEST_CASE("a watch at a version from the future leads to a list of the newest") {
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  f.api.RunFor(seconds(5));
  watch.responder->End();
  f.api.Answer(504, StatusText(504, "Timeout", "Too large resource version: 10, current: 3"));
  f.WaitForRequest(seconds(2));
  CHECK(QueryOf(f.api.Answer(200, ListText("3", {})), "resourceVersion") == "-");
  CHECK(f.notes.Take() == Told{"-a#u", "="});
}

TEST_CASE(
    "other ERROR events and refusals back off with jitter up to 30 s and go on where it stopped") {
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  f.api.RunFor(seconds(5));
  f.Write(watch, EventText("ERROR", StatusText(500, "InternalError", "etcd")));
  Duration ceiling = milliseconds(800);
  Duration longest{};
  for (int i = 0; i < 12; ++i) {
    const Duration wait = f.WaitForRequest(seconds(31));
    CHECK(wait >= milliseconds(390));
    CHECK(wait <= ceiling + milliseconds(20));
    longest = std::max(longest, wait);
    ceiling = std::min<Duration>(seconds(30), ceiling * 2);
    const control::IncomingRequest request = f.api.Answer(500, "");
    CHECK(QueryOf(request, "watch") == "1");
    CHECK(QueryOf(request, "resourceVersion") == "10");
  }
  CHECK(longest > seconds(5));
  CHECK(f.notes.Take().empty());

  // Two healthy minutes make the next wait short again.
  f.WaitForRequest(seconds(31));
  watch = f.Open();
  for (int i = 0; i < 3; ++i) {
    f.api.RunFor(seconds(60));
    f.Write(watch, BookmarkText("20"));
  }
  f.Write(watch, EventText("ERROR", StatusText(500, "InternalError", "etcd")));
  CHECK(f.WaitForRequest(seconds(31)) <= milliseconds(820));
}

TEST_CASE("Retry-After of a refused list is waited for, by each watcher a little differently") {
  std::set<Duration> waits;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    WatcherFixture f(seed);
    f.api.Answer(429, StatusText(429, "TooManyRequests", "x"), {{"Retry-After", "12"}});
    const Duration waited = f.WaitForRequest(seconds(20));
    CHECK(waited >= seconds(12));
    CHECK(waited <= milliseconds(13'300));
    CHECK_FALSE(f.watcher.synced());
    waits.insert(waited);
  }
  CHECK(waits.size() > 1);
}

TEST_CASE("a stream without a word for 90 s is dead, one with bookmarks is not") {
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  const TimePoint contact = f.api.clock.now();
  f.api.RunFor(seconds(89));
  f.Write(watch, BookmarkText("33"));
  f.api.RunFor(seconds(89));
  CHECK(f.api.service.taken.empty());
  CHECK(f.watcher.last_contact() == contact + seconds(89));
  f.api.RunFor(seconds(2));
  CHECK(f.watcher.counters().silent == 1);
  watch = f.Open();
  CHECK(QueryOf(watch.request, "resourceVersion") == "33");
  CHECK(f.watcher.counters().lists == 1);
}

TEST_CASE("a connection that is cut under a watch is replaced at once, without a list") {
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  for (int i = 0; i < 20; ++i) {
    f.api.RunFor(seconds(1));
    const std::string version = std::to_string(100 + i);
    f.Write(watch, EventText("MODIFIED", ServiceText("a", version)));
    f.api.network.Cut("*");
    CHECK(f.WaitForRequest(seconds(1)) <= milliseconds(10));
    watch = f.Open();
    CHECK(QueryOf(watch.request, "resourceVersion") == version);
  }
  CHECK(f.notes.Take().size() == 20);
  CHECK(f.watcher.counters().lists == 1);
}

TEST_CASE("while the server is away nothing known is forgotten, and its return is noticed soon") {
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  f.api.RunFor(seconds(10));
  const TimePoint contact = f.watcher.last_contact();
  f.api.network.SetLink("*", {Duration(), Duration(), true, false});
  f.api.network.Cut("*");
  const uint64_t before = f.watcher.counters().watches;
  f.api.RunFor(minutes(10));
  CHECK(f.watcher.counters().watches - before < 1000);
  CHECK(f.api.log_lines.size() < 30);
  CHECK(f.watcher.last_contact() == contact);
  CHECK(f.watcher.synced());
  CHECK(f.watcher.size() == 1);
  CHECK(f.notes.Take().empty());
  f.api.network.SetLink("*", {});
  CHECK(f.WaitForRequest(seconds(31)) <= seconds(1));
  // A server that has just come back may not know our rights yet; that is no reason for patience.
  f.api.Answer(403, StatusText(403, "Forbidden", "not yet"));
  CHECK(f.WaitForRequest(seconds(31)) <= seconds(1));
  watch = f.Open();
  f.Write(watch, EventText("DELETED", ServiceText("a", "50")));
  CHECK(f.notes.Take() == Told{"-a#u"});
}

TEST_CASE("why there is no connection is said once in half a minute, and where it is another") {
  WatcherFixture f;
  const ScriptedService::Taken watch = f.Begin();
  const auto said = [&] {
    f.api.log.Flush();
    return std::count_if(
        f.api.log_lines.begin(), f.api.log_lines.end(),
        [](const std::string& line) { return line.find("watch_failed") != std::string::npos; });
  };
  f.api.network.SetLink("*", {Duration(), Duration(), true, false});
  f.api.network.Cut("*");
  f.api.RunFor(seconds(20));
  CHECK(said() == 2);  // that the watch was cut, and that there is nobody
  f.api.network.SetLink("*", {});
  for (int i = 0; i < 3; ++i) {
    static_cast<void>(f.WaitForRequest(seconds(5)));
    f.api.Take().responder->Abort();
    f.api.Settle();
    CHECK(said() == 3);
  }
  f.api.network.SetLink("*", {Duration(), Duration(), true, false});
  f.api.RunFor(seconds(65));
  CHECK(said() == 6);
}

TEST_CASE("a new list deletes what vanished, replaces what was made anew, and repeats nothing") {
  WatcherFixture f;
  f.api.Answer(200, ListText("10", {ServiceText("same", "1"), ServiceText("gone", "2"),
                                    ServiceText("anew", "3", "u1"), ServiceText("moved", "4")}));
  f.notes.Take();
  ScriptedService::Taken watch = f.Open();
  f.api.RunFor(minutes(1));
  f.Write(watch, EventText("ERROR", StatusText(410, "Expired", "x")));
  f.api.Answer(200, ListText("20", {ServiceText("same", "1"), ServiceText("anew", "13", "u2"),
                                    ServiceText("moved", "14"), ServiceText("new", "15")}));
  Told told = f.notes.Take();
  REQUIRE(told.size() == 6);
  std::sort(told.begin(), told.begin() + 2);
  CHECK(told == Told{"-anew#u1", "-gone#u", "+anew@13", "+moved@14", "+new@15", "="});
}

TEST_CASE("events told twice, late deletes and objects made anew keep the story straight") {
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  f.Write(watch, EventText("MODIFIED", ServiceText("a", "11")) +
                     EventText("MODIFIED", ServiceText("a", "11")));
  CHECK(f.notes.Take() == Told{"+a@11"});
  f.Write(watch, EventText("ADDED", ServiceText("a", "12", "u2")));
  CHECK(f.notes.Take() == Told{"-a#u", "+a@12"});
  f.Write(watch, EventText("DELETED", ServiceText("a", "13", "u")));
  CHECK(f.notes.Take().empty());
  f.Write(watch, EventText("DELETED", ServiceText("nobody", "14")));
  CHECK(f.notes.Take().empty());
  CHECK(f.watcher.version() == "14");
}

std::string BrokenText(const std::string& name, const std::string& version) {
  return R"({"metadata":{"name":")" + name + R"(","namespace":"ns","uid":"u","resourceVersion":")" +
         version + R"("},"spec":{"ports":[{"port":"eighty"}]}})";
}

TEST_CASE("an object that cannot be read is counted, skipped, and not taken for deleted") {
  WatcherFixture f;
  f.api.Answer(200, ListText("10", {BrokenText("x", "1"), ServiceText("a", "5"), "7"}));
  CHECK(f.notes.Take() == Told{"+a@5", "="});
  CHECK(f.watcher.counters().undecodable == 2);
  ScriptedService::Taken watch = f.Open();
  f.Write(watch, EventText("MODIFIED", BrokenText("a", "11")) +
                     EventText("ADDED", ServiceText("b", "12")));
  CHECK(f.notes.Take() == Told{"+b@12"});
  CHECK(f.watcher.counters().undecodable == 3);
  f.api.RunFor(minutes(1));
  f.Write(watch, EventText("ERROR", StatusText(410, "Expired", "x")));
  f.api.Answer(200, ListText("20", {BrokenText("a", "11"), ServiceText("b", "12")}));
  CHECK(f.notes.Take() == Told{"="});
  watch = f.Open();
  f.Write(watch, EventText("DELETED", BrokenText("a", "21")));
  CHECK(f.notes.Take() == Told{"-a#u"});
  f.api.log.Flush();
  std::string log;
  for (const std::string& line : f.api.log_lines) log += line;
  CHECK(log.find("spec.ports[0].port: not a number") != std::string::npos);
}

TEST_CASE("a first list that fails is tried again, and a broken page tells nobody anything") {
  WatcherFixture f;
  f.api.Answer(500, "");
  f.WaitForRequest(seconds(2));
  f.api.Answer(200, R"({"metadata":{"resourceVersion":"1"},"items":[{"a":1},)");
  CHECK(f.notes.Take().empty());
  f.WaitForRequest(seconds(3));
  CHECK(QueryOf(f.api.Answer(200, ListText("10", {})), "resourceVersion") == "0");
  CHECK(f.notes.Take() == Told{"="});
}

TEST_CASE("a body that is no watch leads to a list after a pause") {
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  f.api.RunFor(seconds(3));
  f.Write(watch, "<html>you are not logged in</html>");
  CHECK(f.WaitForRequest(seconds(2)) >= milliseconds(390));
  CHECK(QueryOf(f.api.Answer(200, ListText("10", {ServiceText("a", "5")})), "watch") == "-");
  CHECK(f.notes.Take() == Told{"="});
}

TEST_CASE("a watcher that is stopped is silent, also when stopped by its own listener") {
  WatcherFixture f;
  ScriptedService::Taken watch = f.Begin();
  f.watcher.Stop();
  f.Write(watch, EventText("MODIFIED", ServiceText("a", "11")));
  f.api.RunFor(minutes(20));
  CHECK(f.notes.Take().empty());
  CHECK(f.api.service.taken.empty());

  struct Stopper final : WatchListener<Service> {
    Watcher<Service>* watcher = nullptr;
    int told = 0;
    void OnUpsert(Service) override { ++told; }
    void OnDelete(const ObjectKey&, const std::string&) override { ++told; }
    void OnSynced() override { watcher->Stop(); }
  } stopper;
  WatchLimits limits;
  limits.streamed_lists = GENERATE(false, true);
  Watcher<Service> second(f.api.client, f.api.log, 2, stopper, "", "", "", limits);
  stopper.watcher = &second;
  second.Start();
  f.api.Answer(200, limits.streamed_lists
                        ? EventText("ADDED", ServiceText("a", "5")) + BookmarkText("10", true) +
                              EventText("ADDED", ServiceText("b", "11"))
                        : ListText("10", {ServiceText("a", "5")}));
  f.api.RunFor(minutes(20));
  CHECK(stopper.told == 1);
  CHECK(f.api.service.taken.empty());
}

}  // namespace
}  // namespace rouse::k8s
