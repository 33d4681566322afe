#pragma once
// What:      FakeScaleApi, targets with counts and versions behind the ScaleApi seam, with
//            latency and faults.
// Owner:     the test.
// Invariant: FakeScaleApi guards versions as the API server does, and checks that every patch
//            carries one.

#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "autoscaler/scaling/scale_api.h"
#include "tests/support/control/sim_loop.h"

namespace rouse::autoscaler::test {

/// One API server's view of scales, shared by the FakeScaleApi of each replica.
struct Scales {
  struct Object {
    int replicas = 0;
    int version = 1;
  };
  struct Write {
    std::string writer;
    std::string target;
    int from;
    int to;
    bool wake;
    TimePoint at;
  };
  std::map<std::string, Object> objects;
  std::vector<Write> writes;

  void Set(const std::string& name, int replicas) { objects[name] = {replicas, ++versions}; }
  /// A status update by someone else: the version moves, the count stays.
  void Touch(const std::string& name) { objects[name].version = ++versions; }
  int versions = 100;
};

class FakeScaleApi final : public ScaleApi {
 public:
  FakeScaleApi(control::SimLoop& loop, Scales& scales, std::string writer = "a")
      : loop_(loop), scales_(scales), writer_(std::move(writer)) {}

  std::unique_ptr<k8s::ApiCall> Read(const k8s::ScaleTarget& target, const std::string&, bool wake,
                                     k8s::ScaleHandler handler) override {
    ++reads;
    if (wake) ++wake_reads;
    return Later([this, name = target.name] { return Answer(name); }, std::move(handler));
  }

  std::unique_ptr<k8s::ApiCall> Patch(const k8s::ScaleTarget& target, const std::string&,
                                      int replicas, const std::string& version, bool wake,
                                      k8s::ScaleHandler handler) override {
    ++patches;
    if (version.empty()) std::abort();
    return Later(
        [this, name = target.name, replicas, version, wake]() -> absl::StatusOr<k8s::Scale> {
          const auto found = scales_.objects.find(name);
          if (found == scales_.objects.end()) return absl::NotFoundError("no such object");
          if (std::to_string(found->second.version) != version) {
            return absl::AbortedError("the object has been modified");
          }
          scales_.writes.push_back(
              {writer_, name, found->second.replicas, replicas, wake, loop_.now()});
          scales_.Set(name, replicas);
          return Answer(name);
        },
        std::move(handler));
  }

  Duration latency = std::chrono::milliseconds(1);
  /// Asked at the server, before the call has any effect; an error is the answer.
  std::function<absl::Status()> fault;
  /// Runs at the server before each call: someone else at work.
  std::function<void()> meanwhile;
  int reads = 0;
  int wake_reads = 0;
  int patches = 0;

 private:
  struct Call final : k8s::ApiCall {
    explicit Call(std::shared_ptr<bool> flag) : alive(std::move(flag)) {}
    ~Call() override { *alive = false; }
    std::shared_ptr<bool> alive;
  };

  absl::StatusOr<k8s::Scale> Answer(const std::string& name) {
    const auto found = scales_.objects.find(name);
    if (found == scales_.objects.end()) return absl::NotFoundError("no such object");
    k8s::Scale scale;
    scale.meta.name = name;
    scale.meta.resource_version = std::to_string(found->second.version);
    scale.spec_replicas = found->second.replicas;
    return scale;
  }

  template <typename F>
  std::unique_ptr<k8s::ApiCall> Later(F at_server, k8s::ScaleHandler handler) {
    auto alive = std::make_shared<bool>(true);
    auto answer = std::make_shared<absl::StatusOr<k8s::Scale>>(absl::UnknownError("unanswered"));
    loop_.At(loop_.now() + latency / 2, [this, at_server, answer] {
      if (meanwhile) meanwhile();
      const absl::Status failed = fault ? fault() : absl::OkStatus();
      *answer = failed.ok() ? at_server() : absl::StatusOr<k8s::Scale>(failed);
    });
    loop_.At(loop_.now() + latency, [alive, answer, handler = std::move(handler)]() mutable {
      if (*alive) handler(std::move(*answer));
    });
    return std::make_unique<Call>(alive);
  }

  control::SimLoop& loop_;
  Scales& scales_;
  std::string writer_;
};

}  // namespace rouse::autoscaler::test
