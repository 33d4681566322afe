#pragma once
// What:  WatcherFixture, a Watcher<Service> before a scripted server, and what its listener was
//        told.
// Owner: one test case each.

#include <string>
#include <utility>
#include <vector>

#include "k8s/objects/service.h"
#include "k8s/watcher.h"
#include "tests/unit/k8s/client/api_fixture.h"

namespace rouse::k8s {

/// Writes down what it is told: `+name@version`, `-name#uid`, `=` for synced.
struct Notes final : WatchListener<Service> {
  std::vector<std::string> told;
  void OnUpsert(Service service) override {
    told.push_back("+" + service.meta.name + "@" + service.meta.resource_version);
  }
  void OnDelete(const ObjectKey& key, const std::string& uid) override {
    told.push_back("-" + key.name + "#" + uid);
  }
  void OnSynced() override { told.emplace_back("="); }
  std::vector<std::string> Take() { return std::exchange(told, {}); }
};

struct WatcherFixture {
  ApiFixture api;
  Notes notes;
  Watcher<Service> watcher;

  /// Lists as answers to one request each; StreamedFixture is for the others.
  static WatchLimits PlainLists() {
    WatchLimits limits;
    limits.streamed_lists = false;
    return limits;
  }
  explicit WatcherFixture(uint64_t seed = 1, WatchLimits limits = PlainLists())
      : api(seed), watcher(api.client, api.log, seed, notes, "", kSelector, "", limits) {
    watcher.Start();
  }
  static constexpr const char* kSelector = "rouse.dev/enabled=true";

  /// Answers the first list with `a`, and opens the watch.
  control::ScriptedService::Taken Begin();
  /// The next request must be a watch; opens it.
  control::ScriptedService::Taken Open();
  void Write(control::ScriptedService::Taken& watch, std::string text) {
    static_cast<void>(watch.responder->Write(std::move(text)));
    api.Settle();
  }
  /// How long it takes until the next request, at most `most`.
  Duration WaitForRequest(Duration most) {
    const TimePoint begin = api.clock.now();
    api.Settle();
    while (api.service.taken.empty() && api.clock.now() - begin < most) {
      api.RunFor(std::chrono::milliseconds(10));
    }
    return api.clock.now() - begin;
  }
};

}  // namespace rouse::k8s
