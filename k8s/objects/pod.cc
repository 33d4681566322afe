#include "k8s/objects/pod.h"

#include <algorithm>

#include "k8s/objects/json_node.h"

namespace rouse::k8s {
namespace {

Pod::Phase DecodePhase(const std::string& text) {
  if (text == "Pending") return Pod::Phase::kPending;
  if (text == "Running") return Pod::Phase::kRunning;
  if (text == "Succeeded") return Pod::Phase::kSucceeded;
  if (text == "Failed") return Pod::Phase::kFailed;
  return Pod::Phase::kUnknown;
}

ContainerStatus DecodeContainerStatus(const JsonNode& node) {
  ContainerStatus status;
  status.name = node["name"].Text();
  status.ready = node["ready"].Flag();
  status.started = node["started"].Flag();
  status.restart_count = node["restartCount"].Count();
  status.container_id = node["containerID"].Text();
  const JsonNode running = node["state"]["running"];
  status.running = running.present();
  status.started_at = running["startedAt"].Time();
  return status;
}

void DecodeStatus(const JsonNode& status, Pod& pod) {
  pod.phase = DecodePhase(status["phase"].Text());
  status["podIPs"].Each([&](JsonNode node) { pod.ips.push_back(node["ip"].Text()); });
  const std::string primary = status["podIP"].Text();
  if (pod.ips.empty() && !primary.empty()) pod.ips.push_back(primary);
  status["containerStatuses"].Each(
      [&](JsonNode node) { pod.container_statuses.push_back(DecodeContainerStatus(node)); });
  status["conditions"].Each([&](JsonNode condition) {
    if (condition["type"].Text() != "Ready") return;
    pod.ready = condition["status"].Text() == "True";
    pod.ready_transition = condition["lastTransitionTime"].Time();
  });
}

}  // namespace

absl::StatusOr<Pod> Pod::Decode(std::string_view json) {
  JsonDocument document(json);
  const JsonNode root = document.root();
  Pod pod;
  pod.meta = DecodeMeta(root);
  const JsonNode spec = root["spec"];
  pod.node_name = spec["nodeName"].Text();
  pod.host_network = spec["hostNetwork"].Flag();
  spec["containers"].Each([&](JsonNode node) { pod.containers.push_back(DecodeContainer(node)); });
  spec["readinessGates"].Each(
      [&](JsonNode gate) { pod.readiness_gates.push_back(gate["conditionType"].Text()); });
  DecodeStatus(root["status"], pod);
  if (!document.status().ok()) return document.status();
  return pod;
}

const ContainerStatus* Pod::status_of(std::string_view container) const {
  const auto found =
      std::find_if(container_statuses.begin(), container_statuses.end(),
                   [&](const ContainerStatus& status) { return status.name == container; });
  return found == container_statuses.end() ? nullptr : &*found;
}

}  // namespace rouse::k8s
