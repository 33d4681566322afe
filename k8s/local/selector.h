#pragma once
// What:      LabelSelector and FieldSelector: which objects a list, a watch or a controller means.
// Owner:     values. Any thread.
// Limits:    kRequirementsMax parts in one selector.
// Invariant: an empty selector matches everything (a Service's or Deployment's empty one nothing:
//            ask empty()).

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "k8s/local/api_error.h"
#include "k8s/local/json.h"
#include "k8s/local/resource_kind.h"

namespace rouse::k8s::local {

inline constexpr size_t kRequirementsMax = 64;

class LabelSelector {
 public:
  enum class Operator : uint8_t { kIn, kNotIn, kExists, kNotExists };
  struct Requirement {
    std::string key;
    Operator op = Operator::kIn;
    std::vector<std::string> values;
  };

  /// `a=b,c!=d,e in (f,g),h notin (i),j,!k`, as the `labelSelector` parameter has it.
  [[nodiscard]] static ApiResult<LabelSelector> Parse(std::string_view text);
  /// `{matchLabels: {...}, matchExpressions: [...]}` of apps/v1.
  [[nodiscard]] static LabelSelector FromObject(const Json& selector);
  /// A Service's plain map.
  [[nodiscard]] static LabelSelector FromMap(const TextMap& labels);

  [[nodiscard]] bool Matches(const TextMap& labels) const;
  [[nodiscard]] bool empty() const { return requirements_.empty(); }
  /// In the form that Parse takes.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<Requirement> requirements_;
};

class FieldSelector {
 public:
  /// `metadata.name=x,status.phase!=y`; 400 for a field that `kind` cannot be selected by.
  [[nodiscard]] static ApiResult<FieldSelector> Parse(const ResourceKind& kind,
                                                      std::string_view text);
  [[nodiscard]] bool Matches(const Json& object) const;
  [[nodiscard]] bool empty() const { return requirements_.empty(); }

 private:
  struct Requirement {
    std::vector<std::string> path;
    std::string value;
    bool equal = true;
  };
  std::vector<Requirement> requirements_;
};

}  // namespace rouse::k8s::local
