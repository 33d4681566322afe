#pragma once
// What:      YamlToJson, one YAML value as JSON: manifests, and what a kubeconfig hands on
//            unchanged.
// Owner:     nobody; a function. Any thread.
// Limits:    YamlBounds; aliases are expanded within them.
// Invariant: plain scalars become booleans, numbers and null as YAML 1.2's core schema says; quoted
//            ones stay texts.

#include <cstddef>

#include <absl/status/status.h>

namespace YAML {
class Node;
}
namespace boost::json {
class value;
}

namespace rouse::k8s {

struct YamlBounds {
  size_t bytes = 4 << 20;
  size_t depth = 64;
};

/// Takes the bytes that the value needs from `left`, which the documents of one text share.
/// kInvalidArgument names the line.
[[nodiscard]] absl::Status YamlToJson(const YAML::Node& node, YamlBounds& left,
                                      boost::json::value& into);

}  // namespace rouse::k8s
