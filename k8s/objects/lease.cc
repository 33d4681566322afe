#include "k8s/objects/lease.h"

#include <boost/json.hpp>

#include "k8s/objects/json_node.h"

namespace rouse::k8s {

absl::StatusOr<Lease> Lease::Decode(std::string_view json) {
  JsonDocument document(json);
  const JsonNode root = document.root();
  Lease lease;
  lease.meta = DecodeMeta(root);
  const JsonNode spec = root["spec"];
  lease.holder = spec["holderIdentity"].Text();
  lease.duration_seconds = spec["leaseDurationSeconds"].Count();
  lease.transitions = spec["leaseTransitions"].Count();
  lease.acquire_time = spec["acquireTime"].Time();
  lease.renew_time = spec["renewTime"].Time();
  if (!document.status().ok()) return document.status();
  return lease;
}

std::string Lease::Encode() const {
  boost::json::object metadata{{"name", meta.name}, {"namespace", meta.ns}};
  if (!meta.resource_version.empty()) metadata["resourceVersion"] = meta.resource_version;
  if (!meta.uid.empty()) metadata["uid"] = meta.uid;
  for (const auto& [key, value] : meta.labels) {
    if (!metadata.contains("labels")) metadata["labels"] = boost::json::object();
    metadata["labels"].as_object()[key] = value;
  }
  for (const auto& [key, value] : meta.annotations) {
    if (!metadata.contains("annotations")) metadata["annotations"] = boost::json::object();
    metadata["annotations"].as_object()[key] = value;
  }
  boost::json::object spec{{"holderIdentity", holder},
                           {"leaseDurationSeconds", duration_seconds},
                           {"leaseTransitions", transitions}};
  if (acquire_time) spec["acquireTime"] = FormatMicroTime(*acquire_time);
  if (renew_time) spec["renewTime"] = FormatMicroTime(*renew_time);
  return boost::json::serialize(boost::json::object{{"apiVersion", kType.api_version()},
                                                    {"kind", "Lease"},
                                                    {"metadata", std::move(metadata)},
                                                    {"spec", std::move(spec)}});
}

}  // namespace rouse::k8s
