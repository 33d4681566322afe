#include "autoscaler/scaling/journal.h"

#include <limits>

#include <catch2/catch.hpp>

#include "autoscaler/scaling/json_text.h"

namespace rouse::autoscaler {
namespace {

const ObjectKey kFn{"ns", "fn"};

Journal::Entry Wanting(int wanted) {
  Journal::Entry entry;
  entry.decision.wanted = wanted;
  entry.decision.reason = Reason::kStable;
  return entry;
}

TEST_CASE("the journal keeps the newest decisions of each workload") {
  Journal journal;
  for (int i = 0; i < 1000; ++i) journal.Add(kFn, Wanting(i));
  CHECK(journal.EntriesOf(kFn).size() == Journal::kEntriesMax);
  CHECK(journal.EntriesOf(kFn).back().decision.wanted == 999);
  journal.Note(kFn, "written 1 -> 999");
  CHECK(journal.EntriesOf(kFn).back().outcome == "written 1 -> 999");
  journal.Note({"ns", "other"}, "nothing");
  journal.Remove(kFn);
  CHECK(journal.EntriesOf(kFn).empty());
}

TEST_CASE("the page shows the newest decision first, with what it was made from") {
  Journal journal;
  Journal::Entry entry = Wanting(1);
  entry.wall = WallTime(std::chrono::milliseconds(1234));
  entry.leader = true;
  entry.decision.observed = {
      .has_data = true, .stable = 0.5, .panic = 1, .ready = 0, .replicas = 0};
  journal.Add(kFn, entry);
  journal.Add(kFn, Wanting(2));
  journal.Add({"ns", "other"}, Wanting(3));
  const std::string page = journal.Json(&kFn);
  CHECK(page.find(R"({"decisions":[{"workload":"ns/fn","entries":[{)") == 0);
  CHECK(page.find(R"("wanted":2)") < page.find(R"("wanted":1)"));
  CHECK(page.find(R"("at_unix_ms":1234,"leader":true,"wanted":1,"reason":"stable_window")") !=
        std::string::npos);
  CHECK(page.find(R"("stable":0.5,"panic":1,"ready":0,"replicas":0)") != std::string::npos);
  CHECK(page.find("other") == std::string::npos);
  CHECK(journal.Json().find("ns/other") != std::string::npos);
}

TEST_CASE("JSON text is escaped and has no numbers that JSON lacks") {
  JsonText json;
  json.BeginObject()
      .Field("quote\"", "a\\b\n\x01")
      .Field("nan", std::numeric_limits<double>::quiet_NaN())
      .Field("big", INT64_MAX)
      .Field("yes", true)
      .Key("list")
      .BeginArray()
      .Integer(1)
      .BeginObject()
      .EndObject()
      .String("")
      .EndArray()
      .EndObject();
  const std::string first = R"({"quote\"":"a\\b\u000a\u0001","nan":null,)";
  const std::string rest = R"("big":9223372036854775807,"yes":true,"list":[1,{},""]})";
  CHECK(json.text() == first + rest);
}

}  // namespace
}  // namespace rouse::autoscaler
