// Lists that are streamed as the beginning of their watch (WatchList), and servers that cannot.
#include <catch2/catch.hpp>

#include "k8s/watcher_core.h"
#include "tests/unit/k8s/client/watcher_fixture.h"

namespace rouse::k8s {
namespace {

using control::ScriptedService;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Told = std::vector<std::string>;

struct StreamedFixture : WatcherFixture {
  StreamedFixture() : WatcherFixture(1, WatchLimits()) {}
  /// The next request must be for a streamed list; opens it.
  ScriptedService::Taken OpenList() {
    ScriptedService::Taken list = Open();
    CHECK(QueryOf(list.request, "sendInitialEvents") == "true");
    CHECK(QueryOf(list.request, "resourceVersionMatch") == "NotOlderThan");
    CHECK(QueryOf(list.request, "allowWatchBookmarks") == "true");
    return list;
  }
  static std::string Added(const std::string& name, const std::string& version) {
    return EventText("ADDED", ServiceText(name, version));
  }
  /// A list of `a`, whole, which goes on as a watch.
  ScriptedService::Taken Listed() {
    ScriptedService::Taken list = OpenList();
    Write(list, Added("a", "5") + BookmarkText("10", true));
    CHECK(notes.Take() == Told{"+a@5", "="});
    return list;
  }
};

TEST_CASE("a streamed list is told when it is whole, and goes on as the watch") {
  StreamedFixture f;
  ScriptedService::Taken list = f.OpenList();
  CHECK(QueryOf(list.request, "resourceVersion") == "0");
  CHECK(QueryOf(list.request, "labelSelector") == "rouse.dev%2Fenabled%3Dtrue");
  f.Write(list, f.Added("a", "5") + f.Added("b", "6"));
  f.Write(list, BookmarkText("9"));  // an ordinary one: not the end
  CHECK(f.notes.Take().empty());
  CHECK_FALSE(f.watcher.synced());
  f.Write(list, BookmarkText("10", true));
  CHECK(f.notes.Take() == Told{"+a@5", "+b@6", "="});
  CHECK(f.watcher.synced());
  CHECK(f.watcher.version() == "10");
  f.Write(list, EventText("MODIFIED", ServiceText("a", "11")));
  CHECK(f.notes.Take() == Told{"+a@11"});
  f.api.RunFor(seconds(30));
  list.responder->End();
  const ScriptedService::Taken next = f.Open();
  CHECK(QueryOf(next.request, "sendInitialEvents") == "-");
  CHECK(QueryOf(next.request, "resourceVersion") == "11");
  CHECK(f.watcher.counters().lists == 1);
  CHECK(f.watcher.counters().streamed == 1);
}

TEST_CASE("a streamed list that is silent once it is whole has the patience of a watch") {
  StreamedFixture f;
  const ScriptedService::Taken list = f.Listed();
  CHECK(f.WaitForRequest(minutes(5)) > seconds(85));
  CHECK(f.watcher.counters().silent == 1);
}

TEST_CASE("what changes while a list comes is told as it is in the end") {
  StreamedFixture f;
  ScriptedService::Taken list = f.OpenList();
  f.Write(list, f.Added("a", "5") + f.Added("b", "6") + f.Added("c", "7"));
  f.Write(list, EventText("MODIFIED", ServiceText("a", "11")) +
                    EventText("DELETED", ServiceText("b", "12")) + f.Added("d", "13") +
                    EventText("DELETED", ServiceText("c", "14")) +
                    EventText("ADDED", ServiceText("c", "15", "u2")));
  f.Write(list, BookmarkText("15", true));
  CHECK(f.notes.Take() == Told{"+a@11", "+d@13", "+c@15", "="});
  CHECK(f.watcher.size() == 3);
}

TEST_CASE("a server that refuses streamed lists is asked for lists from then on") {
  const int code = GENERATE(400, 405, 406, 415, 422);
  CAPTURE(code);
  StreamedFixture f;
  f.api.Answer(code, StatusText(code, "Invalid", "sendInitialEvents is forbidden"));
  const control::IncomingRequest list = f.api.Answer(200, ListText("10", {ServiceText("a", "5")}));
  CHECK(QueryOf(list, "watch") == "-");
  CHECK(QueryOf(list, "resourceVersion") == "0");
  CHECK(f.notes.Take() == Told{"+a@5", "="});
  ScriptedService::Taken watch = f.Open();
  CHECK(QueryOf(watch.request, "sendInitialEvents") == "-");
  f.api.RunFor(minutes(1));
  f.Write(watch, EventText("ERROR", StatusText(410, "Expired", "too old")));
  CHECK(QueryOf(f.api.Take().request, "watch") == "-");
  CHECK(f.watcher.counters().failures == 0);
}

TEST_CASE("a refusal inside the stream counts as one") {
  StreamedFixture f;
  ScriptedService::Taken list = f.OpenList();
  f.Write(list, EventText("ERROR", StatusText(400, "BadRequest", "no such thing")));
  CHECK(QueryOf(f.api.Take().request, "watch") == "-");
}

TEST_CASE("a server that does not know what it was asked is found out, silent or talking") {
  const bool talks = GENERATE(false, true);
  CAPTURE(talks);
  StreamedFixture f;
  ScriptedService::Taken list = f.OpenList();
  f.Write(list, f.Added("a", "5"));
  Duration waited{};
  while (f.api.service.taken.empty() && waited < minutes(3)) {
    if (talks)
      f.Write(list, EventText("MODIFIED", ServiceText("a", std::to_string(waited.count()))));
    waited += f.WaitForRequest(seconds(1));
  }
  CHECK(waited >= (talks ? seconds(59) : seconds(9)));
  CHECK(waited <= (talks ? seconds(62) : seconds(12)));
  CHECK(f.notes.Take().empty());
  CHECK(QueryOf(f.api.Take().request, "watch") == "-");
}

TEST_CASE(
    "a streamed list that is cut tells nobody anything, and is asked for again after a pause") {
  StreamedFixture f;
  ScriptedService::Taken list = f.OpenList();
  f.Write(list, f.Added("a", "5"));
  const bool clean = GENERATE(false, true);
  if (clean) {
    list.responder->End();
  } else {
    list.responder->Abort();
  }
  CHECK(f.WaitForRequest(seconds(40)) >= milliseconds(400));
  CHECK(f.notes.Take().empty());
  f.Listed();
  CHECK(f.watcher.counters().failures == 1);
}

TEST_CASE("where streamed lists break off again and again, lists are asked for") {
  StreamedFixture f;
  for (int i = 0; i < 3; ++i) {
    f.WaitForRequest(seconds(40));
    ScriptedService::Taken list = f.OpenList();
    f.Write(list, f.Added("a", "5"));
    list.responder->Abort();
  }
  const control::IncomingRequest list = f.api.Answer(200, ListText("10", {ServiceText("a", "5")}));
  CHECK(QueryOf(list, "watch") == "-");
  CHECK(f.notes.Take() == Told{"+a@5", "="});
}

TEST_CASE("an overloaded or forbidding server is no server without streams") {
  const int code = GENERATE(403, 404, 429, 500, 503);
  CAPTURE(code);
  StreamedFixture f;
  f.api.Answer(code, StatusText(code, "x", "x"), {{"Retry-After", "7"}});
  CHECK(f.WaitForRequest(seconds(40)) >= seconds(7));
  f.Listed();
}

TEST_CASE(
    "after a 410 the list is streamed again, from the last version and then from the newest") {
  StreamedFixture f;
  ScriptedService::Taken watch = f.Listed();
  f.api.RunFor(minutes(1));
  f.Write(watch, EventText("ERROR", StatusText(410, "Expired", "too old")));
  ScriptedService::Taken list = f.OpenList();
  CHECK(QueryOf(list.request, "resourceVersion") == "10");
  f.Write(list, EventText("ERROR", StatusText(410, "Expired", "too old")));
  f.WaitForRequest(seconds(40));
  list = f.OpenList();
  CHECK(QueryOf(list.request, "resourceVersion") == "-");
  f.Write(list, f.Added("b", "3") + BookmarkText("4", true));
  CHECK(f.notes.Take() == Told{"-a#u", "+b@3", "="});
}

}  // namespace
}  // namespace rouse::k8s
