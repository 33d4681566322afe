#include "k8s/objects/deployment.h"

#include "k8s/objects/json_node.h"

namespace rouse::k8s {

absl::StatusOr<Deployment> Deployment::Decode(std::string_view json) {
  JsonDocument document(json);
  const JsonNode root = document.root();
  Deployment deployment;
  deployment.meta = DecodeMeta(root);
  const std::optional<int64_t> replicas = root["spec"]["replicas"].Number(0, INT32_MAX);
  if (replicas) deployment.replicas = static_cast<int32_t>(*replicas);
  deployment.status_replicas = root["status"]["replicas"].Count();
  deployment.ready_replicas = root["status"]["readyReplicas"].Count();
  const JsonNode pod = root["spec"]["template"];
  deployment.template_labels = pod["metadata"]["labels"].TextMap();
  pod["spec"]["containers"].Each(
      [&](JsonNode node) { deployment.containers.push_back(DecodeContainer(node)); });
  pod["spec"]["readinessGates"].Each(
      [&](JsonNode gate) { deployment.readiness_gates.push_back(gate["conditionType"].Text()); });
  if (!document.status().ok()) return document.status();
  return deployment;
}

absl::StatusOr<StatefulSet> StatefulSet::Decode(std::string_view json) {
  absl::StatusOr<Deployment> same = Deployment::Decode(json);
  if (!same.ok()) return same.status();
  StatefulSet set;
  static_cast<Deployment&>(set) = *std::move(same);
  return set;
}

}  // namespace rouse::k8s
