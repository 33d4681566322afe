#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/local/pod_facts.h"
#include "k8s/local/pod_process.h"

namespace rouse::k8s::local {

namespace json = boost::json;

Json PodProcess::ContainerState() const {
  if (child_ != 0) {
    return json::object{{"running", json::object{{"startedAt", TimeText(started_)}}}};
  }
  if (final_phase_.empty() || !last_end_) {
    json::object waiting{{"reason", waiting_reason_}};
    if (!waiting_message_.empty()) waiting["message"] = waiting_message_;
    return json::object{{"waiting", std::move(waiting)}};
  }
  return json::object{
      {"terminated", json::object{{"exitCode", last_end_->code},
                                  {"reason", last_end_->code == 0 ? "Completed" : "Error"},
                                  {"startedAt", TimeText(last_end_->started)},
                                  {"finishedAt", TimeText(last_end_->finished)}}}};
}

/// Conditions of others stay; a transition time moves only when its status does.
void PodProcess::FillConditions(Json& pod) const {
  const std::string now = TimeText(host_.network.loop().clock().wall());
  json::array kept;
  const auto old = [&](std::string_view type) -> const Json* {
    for (const Json& condition : ArrayAt(*pod_->json, {"status", "conditions"})) {
      if (TextAt(condition, {"type"}) == type) return &condition;
    }
    return nullptr;
  };
  const auto add = [&](std::string_view type, bool holds) {
    const char* status = holds ? "True" : "False";
    const Json* before = old(type);
    const bool same = before != nullptr && TextAt(*before, {"status"}) == status;
    json::object condition{
        {"type", std::string(type)},
        {"status", status},
        {"lastProbeTime", nullptr},
        {"lastTransitionTime", same ? TextAt(*before, {"lastTransitionTime"}) : now}};
    if (!holds) {
      condition["reason"] = "ContainersNotReady";
      condition["message"] = absl::StrCat("containers with unready status: [",
                                          TextAt(FirstContainer(*pod_), {"name"}), "]");
    }
    kept.push_back(std::move(condition));
  };
  add("PodScheduled", true);
  add("Initialized", true);
  add("ContainersReady", ready_);
  add("Ready", ready_);
  Ensure(pod, {"status", "conditions"}) = std::move(kept);
}

void PodProcess::FillStatus(Json& pod) const {
  json::object& status = EnsureObject(pod, {"status"});
  status["phase"] = !final_phase_.empty()      ? final_phase_
                    : launched_ && child_ != 0 ? std::string("Running")
                    : last_end_                ? std::string("Running")
                                               : std::string("Pending");
  status["hostIP"] = "127.0.0.1";
  status["qosClass"] = "BestEffort";
  if (!status.contains("startTime")) {
    status["startTime"] = TimeText(host_.network.loop().clock().wall());
  }
  if (!place_.address.empty()) {
    status["podIP"] = place_.address;
    status["podIPs"] = json::array{json::object{{"ip", place_.address}}};
  }
  const Json& container = FirstContainer(*pod_);
  json::object entry{{"name", TextAt(container, {"name"})},
                     {"image", TextAt(container, {"image"})},
                     {"imageID", ""},
                     {"ready", ready_},
                     {"started", serving_},
                     {"restartCount", restarts_},
                     {"state", ContainerState()},
                     {"lastState", json::object()}};
  if (child_ != 0) entry["containerID"] = absl::StrCat("process://", child_);
  if (last_end_ && final_phase_.empty()) {
    entry["lastState"] = json::object{
        {"terminated", json::object{{"exitCode", last_end_->code},
                                    {"reason", last_end_->code == 0 ? "Completed" : "Error"},
                                    {"startedAt", TimeText(last_end_->started)},
                                    {"finishedAt", TimeText(last_end_->finished)}}}};
  }
  status["containerStatuses"] = json::array{std::move(entry)};
  FillConditions(pod);
}

/// One write, so that the address, the port and the state arrive together.
void PodProcess::WriteStatus() {
  if (state_ == State::kDone) return;
  const auto edit = [this](Json& pod) -> ApiError {
    Ensure(pod, {"spec", "nodeName"}) = "rouse-local";
    if (place_.port != 0) {
      Ensure(pod, {"metadata", "annotations", kPortAnnotation}) = std::to_string(place_.port);
    }
    if (child_ != 0) {
      Ensure(pod, {"metadata", "annotations", kExecTimeAnnotation}) = std::to_string(
          std::chrono::duration_cast<std::chrono::nanoseconds>(started_.time_since_epoch())
              .count());
    }
    FillStatus(pod);
    return {};
  };
  const ObjectRef current = host_.store.Get(PodKind(), pod_->key);
  if (current == nullptr || current->uid != pod_->uid) return;
  ApiResult<ObjectRef> written = host_.store.Write(PodKind(), pod_->key, WritePart::kAll, edit);
  // A deletion that has come meanwhile is seen by Update, not here.
  if (written.ok()) pod_ = *written;
}

}  // namespace rouse::k8s::local
