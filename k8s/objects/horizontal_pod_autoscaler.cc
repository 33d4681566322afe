#include "k8s/objects/horizontal_pod_autoscaler.h"

#include <absl/strings/ascii.h>

#include "k8s/objects/json_node.h"

namespace rouse::k8s {

absl::StatusOr<HorizontalPodAutoscaler> HorizontalPodAutoscaler::Decode(std::string_view json) {
  JsonDocument document(json);
  const JsonNode root = document.root();
  HorizontalPodAutoscaler scaler;
  scaler.meta = DecodeMeta(root);
  const JsonNode target = root["spec"]["scaleTargetRef"];
  const std::string version = target["apiVersion"].Text();
  const size_t slash = version.find('/');
  scaler.target_group = slash == std::string::npos ? std::string() : version.substr(0, slash);
  scaler.target_resource = GuessResource(target["kind"].Text());
  scaler.target_name = target["name"].Text();
  if (!document.status().ok()) return document.status();
  return scaler;
}

std::string GuessResource(std::string_view kind) {
  std::string resource = absl::AsciiStrToLower({kind.data(), kind.size()});
  if (resource.empty()) return resource;
  if (resource.back() == 's') return resource + "es";
  if (resource.back() != 'y') return resource + "s";
  resource.pop_back();
  return resource + "ies";
}

}  // namespace rouse::k8s
