#include "k8s/local/pod_command.h"

#include <charconv>

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/child_process.h"
#include "k8s/local/pod_facts.h"

namespace rouse::k8s::local {

namespace {

/// $(NAME) becomes the variable's value where there is one; $$(NAME) becomes the text $(NAME).
std::string Expand(std::string_view text, const TextMap& variables) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i, 3) == "$$(") {
      out += "$(";
      i += 2;
      continue;
    }
    const size_t end = text.substr(i, 2) == "$(" ? text.find(')', i) : std::string_view::npos;
    const auto found = end == std::string_view::npos
                           ? variables.end()
                           : variables.find(std::string(text.substr(i + 2, end - i - 2)));
    if (found == variables.end()) {
      out += text[i];
    } else {
      out += found->second;
      i = end;
    }
  }
  return out;
}

class Environment {
 public:
  Environment(const ObjectStore& store, const StoredObject& pod, const PodPlace& place)
      : store_(store), pod_(pod), place_(place) {}

  absl::Status AddContainer(const Json& container);
  void Set(const std::string& name, std::string value) {
    if (!variables_.contains(name)) order_.push_back(name);
    variables_[name] = std::move(value);
  }
  [[nodiscard]] const TextMap& variables() const { return variables_; }
  [[nodiscard]] std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    lines.reserve(order_.size());
    for (const std::string& name : order_) lines.push_back(name + "=" + variables_.at(name));
    return lines;
  }

 private:
  absl::Status AddFrom(const std::string& name, const Json& source);
  absl::Status AddKey(const std::string& name, const ResourceKind& kind, const Json& reference);
  absl::Status AddAll(const Json& source);
  [[nodiscard]] std::optional<std::string> Field(const std::string& path) const;

  const ObjectStore& store_;
  const StoredObject& pod_;
  const PodPlace& place_;
  TextMap variables_;
  std::vector<std::string> order_;
};

std::optional<std::string> Environment::Field(const std::string& path) const {
  if (path == "metadata.name") return pod_.key.name;
  if (path == "metadata.namespace") return pod_.key.ns;
  if (path == "metadata.uid") return pod_.uid;
  if (path == "status.podIP" || path == "status.podIPs") return place_.address;
  if (path == "status.hostIP") return "127.0.0.1";
  if (path == "spec.nodeName") return "rouse-local";
  if (path == "spec.serviceAccountName") {
    return TextAt(*pod_.json, {"spec", "serviceAccountName"}, "default");
  }
  for (const auto& [prefix, map] :
       {std::pair<std::string, TextMap>{"metadata.labels['", pod_.labels},
        std::pair<std::string, TextMap>{"metadata.annotations['", pod_.annotations()}}) {
    if (!path.starts_with(prefix) || !path.ends_with("']")) continue;
    const auto found = map.find(path.substr(prefix.size(), path.size() - prefix.size() - 2));
    return found == map.end() ? std::string() : found->second;
  }
  return std::nullopt;
}

/// The value of a ConfigMap's key; a Secret's is base64.
std::optional<std::string> ValueOf(const StoredObject& holder, const std::string& key) {
  const Json* value = Find(*holder.json, {"data", key});
  if (value == nullptr || !value->is_string()) {
    const Json* plain = Find(*holder.json, {"stringData", key});
    if (plain == nullptr) return std::nullopt;
    return TextAt(*plain, {});
  }
  if (holder.kind->plural != "secrets") return TextAt(*value, {});
  std::string decoded;
  if (!absl::Base64Unescape(TextAt(*value, {}), &decoded)) return std::nullopt;
  return decoded;
}

const ResourceKind& SecretKind() { return *FindKind("", "v1", "secrets"); }

absl::Status Environment::AddKey(const std::string& name, const ResourceKind& kind,
                                 const Json& reference) {
  const std::string holder = TextAt(reference, {"name"});
  const std::string key = TextAt(reference, {"key"});
  const ObjectRef object = store_.Get(kind, {pod_.key.ns, holder});
  const std::optional<std::string> value = object == nullptr ? std::nullopt : ValueOf(*object, key);
  if (value) {
    Set(name, *value);
    return absl::OkStatus();
  }
  if (FlagAt(reference, {"optional"})) return absl::OkStatus();
  return absl::InvalidArgumentError(
      object == nullptr ? absl::StrCat(std::string(kind.singular), " \"", holder, "\" not found")
                        : absl::StrCat("couldn't find key ", key, " in ", std::string(kind.kind),
                                       " ", pod_.key.ns, "/", holder));
}

absl::Status Environment::AddFrom(const std::string& name, const Json& source) {
  if (const Json* reference = Find(source, {"configMapKeyRef"})) {
    return AddKey(name, ConfigMapKind(), *reference);
  }
  if (const Json* reference = Find(source, {"secretKeyRef"})) {
    return AddKey(name, SecretKind(), *reference);
  }
  const std::string path = TextAt(source, {"fieldRef", "fieldPath"});
  if (path.empty()) return absl::OkStatus();  // Resources are not limited here.
  const std::optional<std::string> value = Field(path);
  if (!value) return absl::InvalidArgumentError("unsupported fieldPath: " + path);
  Set(name, *value);
  return absl::OkStatus();
}

absl::Status Environment::AddAll(const Json& source) {
  for (const auto& [member, kind] :
       {std::pair{"configMapRef", &ConfigMapKind()}, std::pair{"secretRef", &SecretKind()}}) {
    const std::string name = TextAt(source, {member, "name"});
    if (name.empty()) continue;
    const ObjectRef object = store_.Get(*kind, {pod_.key.ns, name});
    if (object == nullptr) {
      if (FlagAt(source, {member, "optional"})) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(std::string(kind->singular), " \"", name, "\" not found"));
    }
    for (const auto& [key, unused] : TextMapAt(*object->json, {"data"})) {
      if (const auto value = ValueOf(*object, key)) Set(TextAt(source, {"prefix"}) + key, *value);
    }
  }
  return absl::OkStatus();
}

absl::Status Environment::AddContainer(const Json& container) {
  for (const Json& source : ArrayAt(container, {"envFrom"})) {
    if (absl::Status status = AddAll(source); !status.ok()) return status;
  }
  for (const Json& variable : ArrayAt(container, {"env"})) {
    const std::string name = TextAt(variable, {"name"});
    if (const Json* source = Find(variable, {"valueFrom"})) {
      if (absl::Status status = AddFrom(name, *source); !status.ok()) return status;
    } else {
      Set(name, Expand(TextAt(variable, {"value"}), variables_));
    }
  }
  return absl::OkStatus();
}

}  // namespace

const Json& FirstContainer(const StoredObject& pod) {
  static const Json kNone = boost::json::object();
  const JsonArray& containers = ArrayAt(*pod.json, {"spec", "containers"});
  return containers.empty() ? kNone : containers[0];
}

std::optional<uint16_t> FixedPort(const StoredObject& pod) {
  std::string text = TextAt(*pod.json, {"metadata", "annotations", kPortAnnotation});
  for (const Json& variable : ArrayAt(FirstContainer(pod), {"env"})) {
    if (TextAt(variable, {"name"}) == "PORT") text = TextAt(variable, {"value"}, text);
  }
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

absl::StatusOr<PodCommand> PodCommand::Of(const ObjectStore& store, const StoredObject& pod,
                                          const PodPlace& place) {
  const Json& container = FirstContainer(pod);
  Environment environment(store, pod, place);
  environment.Set("HOSTNAME", pod.key.name);
  environment.Set("POD_NAME", pod.key.name);
  environment.Set("POD_NAMESPACE", pod.key.ns);
  environment.Set("POD_IP", place.address);
  environment.Set("PORT", std::to_string(place.port));
  if (absl::Status status = environment.AddContainer(container); !status.ok()) return status;
  PodCommand command;
  for (const char* part : {"command", "args"}) {
    for (const Json& word : ArrayAt(container, {part})) {
      command.argv.push_back(Expand(TextAt(word, {}), environment.variables()));
    }
    if (command.argv.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "container \"", TextAt(container, {"name"}), "\" has no command: rouse-local runs ",
          "spec.containers[0].command as a local process and does not pull images (image \"",
          TextAt(container, {"image"}), "\" is ignored)"));
    }
  }
  command.environment = InheritedEnvironment(
      {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "USER"});
  for (std::string& line : environment.Lines()) command.environment.push_back(std::move(line));
  command.working_dir = TextAt(container, {"workingDir"});
  return command;
}

}  // namespace rouse::k8s::local
