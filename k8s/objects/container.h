#pragma once
// What:      Container and ProbeSpec as a pod (or a pod template) declares them.
// Owner:     values. Any thread.
// Invariant: a ProbeSpec carries the API's defaults, so that nobody fills them in twice.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"

namespace rouse::k8s {

class JsonNode;

struct ContainerPort {
  std::string name;
  std::string protocol = "TCP";
  uint16_t port = 0;
};

struct ProbeSpec {
  enum class Kind : uint8_t { kNone, kHttpGet, kTcpSocket, kGrpc, kExec };

  Kind kind = Kind::kNone;
  std::string path = "/";       ///< httpGet
  std::string scheme = "HTTP";  ///< httpGet: HTTP or HTTPS
  std::string host;             ///< httpGet, tcpSocket; empty: the pod's
  std::vector<std::pair<std::string, std::string>> headers;  ///< httpGet
  std::string port;                  ///< number, or name of a container port
  std::string grpc_service;          ///< grpc
  std::vector<std::string> command;  ///< exec
  Duration initial_delay{};
  Duration period = std::chrono::seconds(10);
  Duration timeout = std::chrono::seconds(1);
  int success_threshold = 1;
  int failure_threshold = 3;
  std::optional<int64_t> termination_grace_seconds;
};

struct Container {
  std::string name;
  std::vector<ContainerPort> ports;
  std::optional<ProbeSpec> readiness_probe;
  std::optional<ProbeSpec> startup_probe;
  std::optional<ProbeSpec> liveness_probe;

  /// The number behind a probe's or Service's port text: a number, or the name of one of our ports.
  [[nodiscard]] std::optional<uint16_t> PortNumber(const std::string& text) const;
};

/// Reads a container with its ports and probes.
[[nodiscard]] Container DecodeContainer(const JsonNode& container);

}  // namespace rouse::k8s
