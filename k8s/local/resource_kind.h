#pragma once
// What:      ResourceKind, one row per kind of object that rouse-local knows, and how to find it by
//            path, by kind or by what a person types (pods, pod, po).
// Owner:     a static table of constants; rows are compared by address. Any thread.

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rouse::k8s::local {

struct ResourceKind {
  std::string_view group;  ///< empty: core
  std::string_view version;
  std::string_view plural;
  std::string_view singular;
  std::string_view kind;
  std::string_view short_name;  ///< what kubectl also takes; may be empty
  bool namespaced = true;
  bool has_status = false;  ///< a status subresource
  bool has_scale = false;   ///< a scale subresource

  [[nodiscard]] std::string api_version() const;
  /// `deployments.apps`, or `pods` in the core group: how messages name a resource.
  [[nodiscard]] std::string qualified_plural() const;
  /// `Deployment.apps`, or `Pod`.
  [[nodiscard]] std::string qualified_kind() const;
};

[[nodiscard]] std::span<const ResourceKind> AllKinds();
/// nullptr where unknown.
[[nodiscard]] const ResourceKind* FindKind(std::string_view group, std::string_view version,
                                           std::string_view plural);
[[nodiscard]] const ResourceKind* FindKindOf(std::string_view api_version, std::string_view kind);
/// By plural, singular, kind (any case) or short name; `deployments.apps` too.
[[nodiscard]] const ResourceKind* FindKindTyped(std::string_view word);

/// Kinds that the controllers name. Each exists in the table.
[[nodiscard]] const ResourceKind& NamespaceKind();
[[nodiscard]] const ResourceKind& PodKind();
[[nodiscard]] const ResourceKind& ServiceKind();
[[nodiscard]] const ResourceKind& EventKind();
[[nodiscard]] const ResourceKind& ConfigMapKind();
[[nodiscard]] const ResourceKind& DeploymentKind();
[[nodiscard]] const ResourceKind& StatefulSetKind();
[[nodiscard]] const ResourceKind& EndpointSliceKind();

}  // namespace rouse::k8s::local
