#pragma once
// What:      StoreFixture: an ObjectStore on simulated time, with short words for what tests write
//            into it.
// Owner:     one test case.

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include "k8s/local/json.h"
#include "k8s/local/object_store.h"
#include "tests/support/control/sim_clock.h"
#include "tests/support/control/sim_loop.h"

namespace rouse::k8s::local {

inline Json Parsed(std::string_view text) {
  absl::StatusOr<Json> value = ParseJson(text);
  INFO(text);
  REQUIRE(value.ok());
  return *value;
}

/// One line per change: `+a`, `~a`, `-a`.
struct ChangeNotes {
  std::vector<std::string> lines;
  int expired = 0;
  StoreWatchHandlers Handlers() {
    StoreWatchHandlers handlers;
    handlers.on_change = [this](const Change& change) {
      const char* mark = change.kind == Change::Kind::kAdded      ? "+"
                         : change.kind == Change::Kind::kModified ? "~"
                                                                  : "-";
      lines.push_back(mark + change.object->key.name);
    };
    handlers.on_expired = [this] { ++expired; };
    return handlers;
  }
};

struct StoreFixture {
  SimClock clock;
  control::SimLoop loop{clock};
  ObjectStore store;

  explicit StoreFixture(StoreLimits limits = {}) : store(loop, 7, limits) {
    for (const char* name : {"default", "other"}) {
      REQUIRE(store.Create(NamespaceKind(), "", Named(name)).ok());
    }
  }

  static Json Named(std::string_view name) {
    return boost::json::object{{"metadata", boost::json::object{{"name", std::string(name)}}}};
  }
  ObjectRef Add(const ResourceKind& kind, std::string_view text, std::string_view ns = "default") {
    ApiResult<ObjectRef> made = store.Create(kind, ns, Parsed(text));
    INFO(made.error().message);
    REQUIRE(made.ok());
    return *made;
  }
  ObjectRef Get(const ResourceKind& kind, std::string name, std::string ns = "default") {
    return store.Get(kind, {std::move(ns), std::move(name)});
  }
  /// Sets one member and writes.
  ApiResult<ObjectRef> Set(const ObjectRef& object, JsonPath path, Json value,
                           WritePart part = WritePart::kMain) {
    return store.Write(*object->kind, object->key, part, [&](Json& copy) -> ApiError {
      Ensure(copy, path) = value;
      return {};
    });
  }
  void Settle() { loop.RunUntilIdle(); }
};

}  // namespace rouse::k8s::local
