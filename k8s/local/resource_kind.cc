#include "k8s/local/resource_kind.h"

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>

#include "common/base/check.h"

namespace rouse::k8s::local {

namespace {

// group, version, plural, singular, kind, short, namespaced, status, scale
constexpr ResourceKind kKinds[] = {
    {"", "v1", "namespaces", "namespace", "Namespace", "ns", false, true, false},
    {"", "v1", "pods", "pod", "Pod", "po", true, true, false},
    {"", "v1", "services", "service", "Service", "svc", true, true, false},
    {"", "v1", "configmaps", "configmap", "ConfigMap", "cm", true, false, false},
    {"", "v1", "secrets", "secret", "Secret", "", true, false, false},
    {"", "v1", "serviceaccounts", "serviceaccount", "ServiceAccount", "sa", true, false, false},
    {"", "v1", "events", "event", "Event", "ev", true, false, false},
    {"apps", "v1", "deployments", "deployment", "Deployment", "deploy", true, true, true},
    {"apps", "v1", "statefulsets", "statefulset", "StatefulSet", "sts", true, true, true},
    {"apps", "v1", "replicasets", "replicaset", "ReplicaSet", "rs", true, true, true},
    {"discovery.k8s.io", "v1", "endpointslices", "endpointslice", "EndpointSlice", "", true, false,
     false},
    {"autoscaling", "v2", "horizontalpodautoscalers", "horizontalpodautoscaler",
     "HorizontalPodAutoscaler", "hpa", true, true, false},
    {"coordination.k8s.io", "v1", "leases", "lease", "Lease", "", true, false, false},
};

bool SameWord(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase({a.data(), a.size()}, {b.data(), b.size()});
}

const ResourceKind& Named(std::string_view plural) {
  for (const ResourceKind& kind : kKinds) {
    if (kind.plural == plural) return kind;
  }
  UNREACHABLE();
}

}  // namespace

std::string ResourceKind::api_version() const {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

std::string ResourceKind::qualified_plural() const {
  return group.empty() ? std::string(plural) : std::string(plural) + "." + std::string(group);
}

std::string ResourceKind::qualified_kind() const {
  return group.empty() ? std::string(kind) : std::string(kind) + "." + std::string(group);
}

std::span<const ResourceKind> AllKinds() { return kKinds; }

const ResourceKind* FindKind(std::string_view group, std::string_view version,
                             std::string_view plural) {
  for (const ResourceKind& kind : kKinds) {
    if (kind.group == group && kind.version == version && kind.plural == plural) return &kind;
  }
  return nullptr;
}

const ResourceKind* FindKindOf(std::string_view api_version, std::string_view name) {
  for (const ResourceKind& kind : kKinds) {
    if (kind.kind == name && kind.api_version() == api_version) return &kind;
  }
  return nullptr;
}

const ResourceKind* FindKindTyped(std::string_view word) {
  if (word.empty()) return nullptr;
  for (const ResourceKind& kind : kKinds) {
    if (SameWord(word, kind.plural) || SameWord(word, kind.singular) ||
        SameWord(word, kind.short_name) || SameWord(word, kind.qualified_plural()) ||
        SameWord(word, kind.qualified_kind())) {
      return &kind;
    }
  }
  return nullptr;
}

const ResourceKind& NamespaceKind() { return Named("namespaces"); }
const ResourceKind& PodKind() { return Named("pods"); }
const ResourceKind& ServiceKind() { return Named("services"); }
const ResourceKind& EventKind() { return Named("events"); }
const ResourceKind& ConfigMapKind() { return Named("configmaps"); }
const ResourceKind& DeploymentKind() { return Named("deployments"); }
const ResourceKind& StatefulSetKind() { return Named("statefulsets"); }
const ResourceKind& EndpointSliceKind() { return Named("endpointslices"); }

}  // namespace rouse::k8s::local
