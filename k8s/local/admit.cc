#include "k8s/local/admit.h"

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/local/selector.h"

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

void Default(Json& object, JsonPath path, json::value value) {
  json::value& at = Ensure(object, path);
  if (at.is_null()) at = std::move(value);
}

void FillPodSpec(Json& spec) {
  Default(spec, {"restartPolicy"}, "Always");
  Default(spec, {"terminationGracePeriodSeconds"}, 30);
  json::object* fields = spec.if_object();
  json::value* containers = fields == nullptr ? nullptr : fields->if_contains("containers");
  if (containers == nullptr || !containers->is_array()) return;
  for (json::value& container : containers->get_array()) {
    if (!container.is_object()) continue;
    for (const char* name : {"readinessProbe", "livenessProbe", "startupProbe"}) {
      json::value* probe = container.get_object().if_contains(name);
      if (probe == nullptr || !probe->is_object()) continue;
      Default(*probe, {"periodSeconds"}, 10);
      Default(*probe, {"timeoutSeconds"}, 1);
      Default(*probe, {"successThreshold"}, 1);
      Default(*probe, {"failureThreshold"}, 3);
      if (Find(*probe, {"httpGet"}) != nullptr) {
        Default(*probe, {"httpGet", "path"}, "/");
        Default(*probe, {"httpGet", "scheme"}, "HTTP");
      }
    }
    json::value* ports = container.get_object().if_contains("ports");
    if (ports == nullptr || !ports->is_array()) continue;
    for (json::value& port : ports->get_array()) Default(port, {"protocol"}, "TCP");
  }
}

void FillService(Json& object) {
  Default(object, {"spec", "type"}, "ClusterIP");
  Default(object, {"spec", "sessionAffinity"}, "None");
  json::value* ports = EnsureObject(object, {"spec"}).if_contains("ports");
  if (ports == nullptr || !ports->is_array()) return;
  for (json::value& port : ports->get_array()) {
    if (!port.is_object()) continue;
    Default(port, {"protocol"}, "TCP");
    if (const json::value* number = port.get_object().if_contains("port")) {
      const json::value copy = *number;
      Default(port, {"targetPort"}, copy);
    }
  }
}

}  // namespace

void FillDefaults(const ResourceKind& kind, Json& object) {
  if (!object.is_object()) return;
  if (kind.plural == "pods") {
    if (Find(object, {"spec"}) != nullptr) FillPodSpec(Ensure(object, {"spec"}));
    Default(object, {"status", "phase"}, "Pending");
  } else if (kind.plural == "services") {
    FillService(object);
  } else if (kind.plural == "namespaces") {
    Default(object, {"status", "phase"}, "Active");
  } else if (kind.plural == "secrets") {
    Default(object, {"type"}, "Opaque");
  } else if (kind.has_scale) {
    Default(object, {"spec", "replicas"}, 1);
    if (Find(object, {"spec", "template", "spec"}) != nullptr) {
      FillPodSpec(Ensure(object, {"spec", "template", "spec"}));
    }
  }
}

namespace {

class Checker {
 public:
  Checker(const ResourceKind& kind, const Json& object) : kind_(kind), object_(object) {}

  void Required(std::string field, std::string_view more = {}) {
    causes_.push_back({"FieldValueRequired",
                       more.empty() ? std::string("Required value")
                                    : absl::StrCat("Required value: ", std::string(more)),
                       std::move(field)});
  }
  void Wrong(std::string field, std::string_view value, std::string_view why) {
    causes_.push_back({"FieldValueInvalid",
                       absl::StrCat("Invalid value: ", std::string(value), ": ", std::string(why)),
                       std::move(field)});
  }
  void Port(const Json& holder, std::string_view key, std::string field) {
    const std::optional<int64_t> port = NumberAt(holder, {key});
    if (!port) return Required(std::move(field));
    if (*port < 1 || *port > 65535) {
      Wrong(std::move(field), std::to_string(*port), "must be between 1 and 65535, inclusive");
    }
  }
  void PodSpec(const Json* spec, const std::string& at);
  void Scalable(const Json* before);
  void Service();
  void Slice();
  void Lease();
  void TextMapOf(std::string_view field);

  [[nodiscard]] ApiError Verdict() {
    if (!malformed_.empty()) return BadRequest(malformed_);
    if (causes_.empty()) return {};
    return Invalid(kind_, TextAt(object_, {"metadata", "name"}), std::move(causes_));
  }

 private:
  const ResourceKind& kind_;
  const Json& object_;
  std::vector<ApiCause> causes_;
  std::string malformed_;
};

/// Labels and annotations hold texts only; anything else does not even decode.
void Checker::TextMapOf(std::string_view field) {
  const Json* map = Find(object_, {"metadata", field});
  if (map == nullptr) return;
  const bool fits = map->is_object() && TextMapAt(*map, {}).size() == map->get_object().size();
  if (fits) return;
  malformed_ = absl::StrCat(std::string(kind_.kind), " in version \"", std::string(kind_.version),
                            "\" cannot be handled as a ", std::string(kind_.kind),
                            ": json: cannot unmarshal into Go struct field ObjectMeta.metadata.",
                            std::string(field), " of type string");
}

void Checker::PodSpec(const Json* spec, const std::string& at) {
  if (spec == nullptr || ArrayAt(*spec, {"containers"}).empty())
    return Required(at + ".containers");
  size_t index = 0;
  for (const Json& container : ArrayAt(*spec, {"containers"})) {
    const std::string path = absl::StrCat(at, ".containers[", index++, "]");
    if (TextAt(container, {"name"}).empty()) Required(path + ".name");
    size_t number = 0;
    for (const Json& port : ArrayAt(container, {"ports"})) {
      Port(port, "containerPort", absl::StrCat(path, ".ports[", number++, "].containerPort"));
    }
    size_t variable = 0;
    for (const Json& env : ArrayAt(container, {"env"})) {
      if (TextAt(env, {"name"}).empty()) Required(absl::StrCat(path, ".env[", variable, "].name"));
      ++variable;
    }
  }
}

void Checker::Scalable(const Json* before) {
  if (const int64_t replicas = NumberAt(object_, {"spec", "replicas"}, 0); replicas < 0) {
    Wrong("spec.replicas", std::to_string(replicas), "must be greater than or equal to 0");
  }
  const Json* selector = Find(object_, {"spec", "selector"});
  if (selector == nullptr) return Required("spec.selector");
  const LabelSelector wanted = LabelSelector::FromObject(*selector);
  if (wanted.empty()) {
    Wrong("spec.selector", "{}",
          absl::StrCat("empty selector is invalid for ",
                       kind_.kind == "Deployment" ? "deployment" : "statefulset"));
  } else if (!wanted.Matches(TextMapAt(object_, {"spec", "template", "metadata", "labels"}))) {
    Wrong(
        "spec.template.metadata.labels",
        JsonText(json::value_from(TextMapAt(object_, {"spec", "template", "metadata", "labels"}))),
        "`selector` does not match template `labels`");
  }
  if (before != nullptr) {
    const Json* old = Find(*before, {"spec", "selector"});
    if (old != nullptr && *old != *selector) {
      Wrong("spec.selector", JsonText(*selector), "field is immutable");
    }
  }
  PodSpec(Find(object_, {"spec", "template", "spec"}), "spec.template.spec");
}

void Checker::Service() {
  const std::string type = TextAt(object_, {"spec", "type"});
  if (type == "ExternalName") return;
  const JsonArray& ports = ArrayAt(object_, {"spec", "ports"});
  if (ports.empty() && TextAt(object_, {"spec", "clusterIP"}) != "None") {
    return Required("spec.ports");
  }
  size_t index = 0;
  for (const Json& port : ports) {
    const std::string path = absl::StrCat("spec.ports[", index++, "]");
    Port(port, "port", path + ".port");
    if (ports.size() > 1 && TextAt(port, {"name"}).empty()) Required(path + ".name");
  }
}

void Checker::Slice() {
  const std::string type = TextAt(object_, {"addressType"});
  if (type.empty()) return Required("addressType");
  if (type != "IPv4" && type != "IPv6" && type != "FQDN") {
    causes_.push_back({"FieldValueNotSupported",
                       absl::StrCat("Unsupported value: \"", type,
                                    "\": supported values: \"FQDN\", \"IPv4\", \"IPv6\""),
                       "addressType"});
  }
  size_t index = 0;
  for (const Json& endpoint : ArrayAt(object_, {"endpoints"})) {
    if (ArrayAt(endpoint, {"addresses"}).empty()) {
      Required(absl::StrCat("endpoints[", index, "].addresses"), "must contain at least 1 address");
    }
    ++index;
  }
}

void Checker::Lease() {
  const std::optional<int64_t> seconds = NumberAt(object_, {"spec", "leaseDurationSeconds"});
  if (seconds && *seconds <= 0) {
    Wrong("spec.leaseDurationSeconds", std::to_string(*seconds), "must be greater than 0");
  }
}

}  // namespace

ApiError CheckObject(const ResourceKind& kind, const Json& object, const Json* before) {
  Checker checker(kind, object);
  checker.TextMapOf("labels");
  checker.TextMapOf("annotations");
  if (kind.plural == "pods") checker.PodSpec(Find(object, {"spec"}), "spec");
  if (kind.has_scale) checker.Scalable(before);
  if (kind.plural == "services") checker.Service();
  if (kind.plural == "endpointslices") checker.Slice();
  if (kind.plural == "leases") checker.Lease();
  return checker.Verdict();
}

}  // namespace rouse::k8s::local
