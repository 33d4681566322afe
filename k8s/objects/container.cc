#include "k8s/objects/container.h"

#include <charconv>

#include "k8s/objects/json_node.h"

namespace rouse::k8s {
namespace {

Duration Seconds(const JsonNode& node, int64_t least, Duration otherwise) {
  const std::optional<int64_t> number = node.Number(least, INT32_MAX);
  return number ? Duration(std::chrono::seconds(*number)) : otherwise;
}

/// The API allows 0 for these and then means its default.
int Threshold(const JsonNode& node, int otherwise) {
  const int count = node.Count();
  return count > 0 ? count : otherwise;
}

void DecodeHttpGet(const JsonNode& node, ProbeSpec& probe) {
  probe.kind = ProbeSpec::Kind::kHttpGet;
  probe.path = node["path"].Text("/");
  if (probe.path.empty() || probe.path.front() != '/') probe.path.insert(0, 1, '/');
  probe.scheme = node["scheme"].Text("HTTP");
  probe.host = node["host"].Text();
  probe.port = node["port"].NumberOrText();
  node["httpHeaders"].Each([&](JsonNode header) {
    probe.headers.emplace_back(header["name"].Text(), header["value"].Text());
  });
}

std::optional<ProbeSpec> DecodeProbe(const JsonNode& node) {
  if (!node.present()) return std::nullopt;
  ProbeSpec probe;
  if (node["httpGet"].present()) {
    DecodeHttpGet(node["httpGet"], probe);
  } else if (node["tcpSocket"].present()) {
    probe.kind = ProbeSpec::Kind::kTcpSocket;
    probe.port = node["tcpSocket"]["port"].NumberOrText();
    probe.host = node["tcpSocket"]["host"].Text();
  } else if (node["grpc"].present()) {
    probe.kind = ProbeSpec::Kind::kGrpc;
    probe.port = node["grpc"]["port"].NumberOrText();
    probe.grpc_service = node["grpc"]["service"].Text();
  } else if (node["exec"].present()) {
    probe.kind = ProbeSpec::Kind::kExec;
    probe.command = node["exec"]["command"].TextList();
  }
  probe.initial_delay = Seconds(node["initialDelaySeconds"], 0, Duration());
  probe.period = Seconds(node["periodSeconds"], 1, std::chrono::seconds(10));
  probe.timeout = Seconds(node["timeoutSeconds"], 1, std::chrono::seconds(1));
  probe.success_threshold = Threshold(node["successThreshold"], 1);
  probe.failure_threshold = Threshold(node["failureThreshold"], 3);
  probe.termination_grace_seconds = node["terminationGracePeriodSeconds"].Number(0, INT32_MAX);
  return probe;
}

}  // namespace

Container DecodeContainer(const JsonNode& node) {
  Container container;
  container.name = node["name"].Text();
  node["ports"].Each([&](JsonNode port) {
    container.ports.push_back({port["name"].Text(), port["protocol"].Text("TCP"),
                               port["containerPort"].Port().value_or(uint16_t{0})});
  });
  container.readiness_probe = DecodeProbe(node["readinessProbe"]);
  container.startup_probe = DecodeProbe(node["startupProbe"]);
  container.liveness_probe = DecodeProbe(node["livenessProbe"]);
  return container;
}

std::optional<uint16_t> Container::PortNumber(const std::string& text) const {
  uint16_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number > 0) return number;
  for (const ContainerPort& port : ports) {
    if (!text.empty() && port.name == text) return port.port;
  }
  return std::nullopt;
}

}  // namespace rouse::k8s
