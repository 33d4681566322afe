// A watcher against a server that forgets, cuts, lies silent and refuses, under seeds.
#include <optional>

#include <catch2/catch.hpp>

#include "tests/unit/k8s/client/watcher_fixture.h"

namespace rouse::k8s {
namespace {

using control::ScriptedService;
using std::chrono::milliseconds;
using std::chrono::minutes;

/// A server with a short memory that answers honestly and fails at random, under a seed.
class UnreliableServer {
 public:
  UnreliableServer(ApiFixture& api, uint64_t seed) : api_(api), random_(seed) {
    api_.service.on_request = [this](ScriptedService::Taken taken) { Serve(std::move(taken)); };
  }

  void Change() {
    const std::string name(1, static_cast<char>('a' + random_.Below(6)));
    ++version_;
    const std::string version = std::to_string(version_);
    const auto found = objects_.find(name);
    if (found == objects_.end()) {
      uids_[name] = "u" + version;
      Emit("ADDED", name, version);
      objects_[name] = version;
    } else if (random_.Below(3) == 0) {
      Emit("DELETED", name, version);
      objects_.erase(found);
    } else {
      Emit("MODIFIED", name, version);
      found->second = version;
    }
  }
  void Trouble() {
    if (!watch_) return;
    switch (random_.Below(6)) {
      case 0:
        watch_->responder->End();
        break;
      case 1:
        watch_->responder->Abort();
        break;
      case 2:
        static_cast<void>(
            watch_->responder->Write(EventText("ERROR", StatusText(500, "InternalError", "x"))));
        break;
      case 3:
        static_cast<void>(watch_->responder->Write(BookmarkText(std::to_string(version_))));
        return;
      case 4:
        return;  // silent until the watcher notices: nothing more is written
      default:
        history_.clear();
        static_cast<void>(
            watch_->responder->Write(EventText("ERROR", StatusText(410, "Expired", "x"))));
    }
    watch_.reset();
  }
  void Calm() { calm_ = true; }
  /// What streamed lists meet: a server that has them, one that refuses, one that came before them.
  enum class Streams : uint8_t { kServed, kRefused, kUnknown };
  void Stream(Streams streams) { streams_ = streams; }
  [[nodiscard]] std::map<std::string, std::string> Objects() const { return objects_; }

 private:
  void Emit(const std::string& type, const std::string& name, const std::string& version) {
    const std::string text = EventText(type, ServiceText(name, version, uids_[name]));
    history_.emplace_back(version_, text);
    if (history_.size() > 8) history_.erase(history_.begin());
    if (watch_) static_cast<void>(watch_->responder->Write(text));
  }
  void Serve(ScriptedService::Taken taken) {
    if (!calm_ && random_.Below(5) == 0) return taken.responder->Respond(500, {}, "");
    if (QueryOf(taken.request, "watch") != "1") {
      std::vector<std::string> items;
      for (const auto& [name, version] : objects_) {
        items.push_back(ServiceText(name, version, uids_[name]));
      }
      return taken.responder->Respond(200, {}, ListText(std::to_string(version_), items));
    }
    if (QueryOf(taken.request, "sendInitialEvents") == "true") {
      if (streams_ == Streams::kServed) return ServeStreamed(std::move(taken));
      if (streams_ == Streams::kRefused) {
        return taken.responder->Respond(422, {}, StatusText(422, "Invalid", "x"));
      }
    }
    const std::string asked = QueryOf(taken.request, "resourceVersion");
    if (asked == "0" || asked == "-") {  // an old server's way: what there is, and no end of it
      taken.responder->Begin(200, {});
      for (const auto& [name, version] : objects_) {
        const std::string text = ServiceText(name, version, uids_[name]);
        static_cast<void>(taken.responder->Write(EventText("ADDED", text)));
      }
      watch_ = std::move(taken);
      return;
    }
    const int from = std::stoi(asked);
    const bool forgotten =
        from < version_ && (history_.empty() || history_.front().first > from + 1);
    if (forgotten) return taken.responder->Respond(410, {}, StatusText(410, "Expired", "x"));
    taken.responder->Begin(200, {});
    for (const auto& [version, text] : history_) {
      if (version > from) static_cast<void>(taken.responder->Write(text));
    }
    watch_ = std::move(taken);
  }

  /// Things may change while the list comes, and it may break off.
  void ServeStreamed(ScriptedService::Taken taken) {
    taken.responder->Begin(200, {});
    const std::map<std::string, std::string> now = objects_;
    watch_ = std::move(taken);
    for (const auto& [name, version] : now) {
      if (!calm_ && random_.Below(10) == 0) {
        watch_->responder->Abort();
        return watch_.reset();
      }
      const std::string text = ServiceText(name, version, uids_[name]);
      static_cast<void>(watch_->responder->Write(EventText("ADDED", text)));
    }
    if (!calm_ && random_.Below(3) == 0) Change();
    static_cast<void>(watch_->responder->Write(BookmarkText(std::to_string(version_), true)));
  }

  ApiFixture& api_;
  Random random_;
  Streams streams_ = Streams::kServed;
  int version_ = 100;
  bool calm_ = false;
  std::map<std::string, std::string> objects_;
  std::map<std::string, std::string> uids_;
  std::vector<std::pair<int, std::string>> history_;
  std::optional<ScriptedService::Taken> watch_;
};

TEST_CASE("through any trouble the listener ends with what the server has, never a step aside") {
  using Streams = UnreliableServer::Streams;
  const Streams streams = GENERATE(Streams::kServed, Streams::kRefused, Streams::kUnknown);
  CAPTURE(streams);
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    WatcherFixture f(seed, WatchLimits());
    UnreliableServer server(f.api, seed);
    server.Stream(streams);
    Random random(seed * 77);
    for (int step = 0; step < 150; ++step) {
      if (random.Below(4) == 0) {
        server.Trouble();
      } else {
        server.Change();
      }
      f.api.RunFor(milliseconds(random.Below(3000)));
    }
    server.Calm();
    f.api.RunFor(minutes(5));
    std::map<std::string, std::string> known;
    for (const std::string& line : f.notes.Take()) {
      if (line[0] == '+') {
        known[line.substr(1, 1)] = line.substr(3);
      } else if (line[0] == '-') {
        REQUIRE(known.erase(line.substr(1, 1)) == 1);
      }
    }
    REQUIRE(known == server.Objects());
  }
}

}  // namespace
}  // namespace rouse::k8s
