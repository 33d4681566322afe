#include "k8s/local/columns.h"

#include <algorithm>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <boost/json.hpp>

#include "k8s/local/pod_facts.h"

namespace rouse::k8s::local {

namespace {

using Row = std::vector<std::string>;

std::string OrNone(std::string text) {
  if (text.empty()) return "<none>";
  return text;
}

std::string AgeOf(const Json& object, JsonPath path, WallTime now) {
  const std::optional<WallTime> since = ParseTime(TextAt(object, path));
  if (!since) return "<unknown>";
  return AgeText(std::chrono::duration_cast<Duration>(now - *since));
}

std::string Number(const Json& object, JsonPath path) {
  return std::to_string(NumberAt(object, path, 0));
}

/// What kubectl shows as STATUS: why a container waits or ended, else the phase.
std::string PodStatus(const Json& pod) {
  if (Find(pod, {"metadata", "deletionTimestamp"}) != nullptr) return "Terminating";
  for (const Json& container : ArrayAt(pod, {"status", "containerStatuses"})) {
    for (const char* state : {"waiting", "terminated"}) {
      const std::string reason = TextAt(container, {"state", state, "reason"});
      if (!reason.empty()) return reason;
    }
  }
  return TextAt(pod, {"status", "phase"}, "Unknown");
}

Row PodRow(const Json& pod) {
  int64_t ready = 0;
  int64_t restarts = 0;
  for (const Json& container : ArrayAt(pod, {"status", "containerStatuses"})) {
    ready += FlagAt(container, {"ready"}) ? 1 : 0;
    restarts += NumberAt(container, {"restartCount"}, 0);
  }
  const size_t containers = ArrayAt(pod, {"spec", "containers"}).size();
  return {absl::StrCat(ready, "/", containers), PodStatus(pod), std::to_string(restarts)};
}

std::string ServicePorts(const Json& service) {
  std::vector<std::string> ports;
  for (const Json& port : ArrayAt(service, {"spec", "ports"})) {
    ports.push_back(Number(port, {"port"}) + "/" + TextAt(port, {"protocol"}, "TCP"));
  }
  return OrNone(absl::StrJoin(ports, ","));
}

Row SliceRow(const Json& slice) {
  std::vector<std::string> ports;
  for (const Json& port : ArrayAt(slice, {"ports"})) ports.push_back(Number(port, {"port"}));
  std::vector<std::string> addresses;
  for (const Json& endpoint : ArrayAt(slice, {"endpoints"})) {
    for (const Json& address : ArrayAt(endpoint, {"addresses"})) {
      const bool ready = FlagAt(endpoint, {"conditions", "ready"}, true);
      addresses.push_back(TextAt(address, {}) + (ready ? "" : " (not ready)"));
    }
  }
  return {TextAt(slice, {"addressType"}), OrNone(absl::StrJoin(ports, ",")),
          OrNone(absl::StrJoin(addresses, ","))};
}

struct Columns {
  Row heading;  ///< between NAME and AGE
  Row wide;     ///< after AGE
};

Columns HeadingsOf(const ResourceKind& kind) {
  if (kind.plural == "pods") return {{"READY", "STATUS", "RESTARTS"}, {"IP", "PORT", "NODE"}};
  if (kind.plural == "deployments") return {{"READY", "UP-TO-DATE", "AVAILABLE"}, {"CONTAINERS"}};
  if (kind.has_scale) return {{"READY"}, {"CONTAINERS"}};
  if (kind.plural == "services") return {{"TYPE", "CLUSTER-IP", "PORT(S)"}, {"SELECTOR"}};
  if (kind.plural == "endpointslices") return {{"ADDRESSTYPE", "PORTS", "ENDPOINTS"}, {}};
  if (kind.plural == "configmaps") return {{"DATA"}, {}};
  if (kind.plural == "secrets") return {{"TYPE", "DATA"}, {}};
  if (kind.plural == "namespaces") return {{"STATUS"}, {}};
  if (kind.plural == "leases") return {{"HOLDER"}, {}};
  return {};
}

std::string Containers(const Json& object) {
  std::vector<std::string> names;
  for (const Json& container : ArrayAt(object, {"spec", "template", "spec", "containers"})) {
    names.push_back(TextAt(container, {"name"}));
  }
  return OrNone(absl::StrJoin(names, ","));
}

std::string ReadyOf(const Json& object) {
  return absl::StrCat(NumberAt(object, {"status", "readyReplicas"}, 0), "/",
                      NumberAt(object, {"spec", "replicas"}, 0));
}

Row CellsOf(const ResourceKind& kind, const Json& object) {
  if (kind.plural == "pods") return PodRow(object);
  if (kind.plural == "deployments") {
    return {ReadyOf(object), Number(object, {"status", "updatedReplicas"}),
            Number(object, {"status", "availableReplicas"})};
  }
  if (kind.has_scale) return {ReadyOf(object)};
  if (kind.plural == "services") {
    return {TextAt(object, {"spec", "type"}), OrNone(TextAt(object, {"spec", "clusterIP"})),
            ServicePorts(object)};
  }
  if (kind.plural == "endpointslices") return SliceRow(object);
  if (kind.plural == "namespaces") return {TextAt(object, {"status", "phase"})};
  if (kind.plural == "leases") return {OrNone(TextAt(object, {"spec", "holderIdentity"}))};
  const std::string data = std::to_string(TextMapAt(object, {"data"}).size());
  if (kind.plural == "configmaps") return {data};
  if (kind.plural == "secrets") return {TextAt(object, {"type"}), data};
  return {};
}

Row WideCellsOf(const ResourceKind& kind, const Json& object) {
  if (kind.plural == "pods") {
    return {OrNone(TextAt(object, {"status", "podIP"})),
            OrNone(TextAt(object, {"metadata", "annotations", kPortAnnotation})),
            OrNone(TextAt(object, {"spec", "nodeName"}))};
  }
  if (kind.has_scale) return {Containers(object)};
  if (kind.plural == "services") {
    const TextMap selector = TextMapAt(object, {"spec", "selector"});
    return {OrNone(absl::StrJoin(selector, ",", absl::PairFormatter("=")))};
  }
  return {};
}

Row EventRow(const Json& event, WallTime now) {
  std::string subject = TextAt(event, {"involvedObject", "kind"});
  std::transform(subject.begin(), subject.end(), subject.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return {AgeOf(event, {"lastTimestamp"}, now), TextAt(event, {"type"}), TextAt(event, {"reason"}),
          subject + "/" + TextAt(event, {"involvedObject", "name"}), TextAt(event, {"message"})};
}

std::string Aligned(const std::vector<Row>& rows) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text += std::string(widths[i] - row[i].size() + 3, ' ');
    }
    text += '\n';
  }
  return text;
}

void Append(Row& to, Row from) {
  for (std::string& cell : from) to.push_back(std::move(cell));
}

}  // namespace

std::string AgeText(Duration age) {
  const int64_t seconds = std::max<int64_t>(0, Milliseconds(age) / 1000);
  if (seconds < 120) return absl::StrCat(seconds, "s");
  const int64_t minutes = seconds / 60;
  if (minutes < 10 && seconds % 60 != 0) return absl::StrCat(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return absl::StrCat(minutes, "m");
  const int64_t hours = minutes / 60;
  if (hours < 8 && minutes % 60 != 0) return absl::StrCat(hours, "h", minutes % 60, "m");
  if (hours < 48) return absl::StrCat(hours, "h");
  const int64_t days = hours / 24;
  if (days < 8 && hours % 24 != 0) return absl::StrCat(days, "d", hours % 24, "h");
  return absl::StrCat(days, "d");
}

std::string TableOf(const ResourceKind& kind, const JsonArray& objects, WallTime now,
                    TableOptions options) {
  if (objects.empty()) return {};
  const bool events = kind.plural == "events";
  const Columns columns = HeadingsOf(kind);
  std::vector<Row> rows(1);
  if (options.namespaces) rows[0].push_back("NAMESPACE");
  if (events) {
    Append(rows[0], {"LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"});
  } else {
    rows[0].push_back("NAME");
    Append(rows[0], columns.heading);
    rows[0].push_back("AGE");
    if (options.wide) Append(rows[0], columns.wide);
  }
  for (const Json& object : objects) {
    Row row;
    if (options.namespaces) row.push_back(TextAt(object, {"metadata", "namespace"}));
    if (events) {
      Append(row, EventRow(object, now));
    } else {
      row.push_back(TextAt(object, {"metadata", "name"}));
      Append(row, CellsOf(kind, object));
      row.push_back(AgeOf(object, {"metadata", "creationTimestamp"}, now));
      if (options.wide) Append(row, WideCellsOf(kind, object));
    }
    rows.push_back(std::move(row));
  }
  return Aligned(rows);
}

}  // namespace rouse::k8s::local
