#include <algorithm>

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/local/controllers.h"
#include "k8s/local/pod_facts.h"
#include "k8s/local/selector.h"

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";
constexpr std::string_view kManagedBy = "endpointslice.kubernetes.io/managed-by";
constexpr std::string_view kManager = "endpointslice-controller.local.rouse.dev";
/// As the real controller's default.
constexpr size_t kEndpointsPerSlice = 100;

TextMap SelectorOf(const Json& service) { return TextMapAt(service, {"spec", "selector"}); }

/// The ports of a slice are those of its pods, and each pod has its own: pods with the same ports
/// share a slice.
json::array PortsOf(const Json& service, const Json& pod) {
  json::array ports;
  for (const Json& port : ArrayAt(service, {"spec", "ports"})) {
    std::string target = NumberOrTextAt(port, {"targetPort"});
    if (target.empty()) target = NumberOrTextAt(port, {"port"});
    const std::optional<uint16_t> number = PodPort(pod, target, OwnPort(pod));
    if (!number) continue;
    json::object one{{"name", TextAt(port, {"name"})},
                     {"protocol", TextAt(port, {"protocol"}, "TCP")},
                     {"port", *number}};
    const std::string app = TextAt(port, {"appProtocol"});
    if (!app.empty()) one["appProtocol"] = app;
    ports.push_back(std::move(one));
  }
  return ports;
}

json::object EndpointOf(const StoredObject& pod, bool publish_not_ready) {
  const bool ready = IsReady(*pod.json);
  const bool leaving = pod.deleting();
  return json::object{
      {"addresses", json::array{json::string(TextAt(*pod.json, {"status", "podIP"}))}},
      {"conditions", json::object{{"ready", publish_not_ready || (ready && !leaving)},
                                  {"serving", ready},
                                  {"terminating", leaving}}},
      {"nodeName", TextAt(*pod.json, {"spec", "nodeName"})},
      {"targetRef",
       json::object{
           {"kind", "Pod"}, {"namespace", pod.key.ns}, {"name", pod.key.name}, {"uid", pod.uid}}}};
}

struct Slice {
  json::array ports;
  json::array endpoints;
};

/// The slices that a Service should have.
std::vector<Slice> WantedSlices(const ObjectStore& store, const StoredObject& service) {
  std::vector<Slice> slices;
  const LabelSelector selector = LabelSelector::FromMap(SelectorOf(*service.json));
  if (selector.empty()) return slices;
  const bool publish = FlagAt(*service.json, {"spec", "publishNotReadyAddresses"});
  for (const ObjectRef& pod : store.List(PodKind(), service.key.ns)) {
    const std::string phase = TextAt(*pod->json, {"status", "phase"});
    if (!selector.Matches(pod->labels) || phase == "Succeeded" || phase == "Failed") continue;
    if (TextAt(*pod->json, {"status", "podIP"}).empty()) continue;
    json::array ports = PortsOf(*service.json, *pod->json);
    auto slice = std::find_if(slices.begin(), slices.end(), [&](const Slice& each) {
      return each.ports == ports && each.endpoints.size() < kEndpointsPerSlice;
    });
    if (slice == slices.end()) slice = slices.insert(slices.end(), {std::move(ports), {}});
    slice->endpoints.push_back(EndpointOf(*pod, publish));
  }
  return slices;
}

/// How well an existing slice serves for a wanted one: by its ports.
bool Fits(const StoredObject& existing, const Slice& wanted) {
  return ArrayAt(*existing.json, {"ports"}) == wanted.ports;
}

void FillSlice(Json& object, const StoredObject& service, const Slice& slice) {
  json::object labels;
  for (const auto& [key, value] : service.labels) labels[key] = value;
  labels[json::string_view(kServiceLabel.data(), kServiceLabel.size())] = service.key.name;
  labels[json::string_view(kManagedBy.data(), kManagedBy.size())] = std::string(kManager);
  json::object& metadata = EnsureObject(object, {"metadata"});
  metadata["labels"] = std::move(labels);
  metadata["ownerReferences"] = json::array{OwnerReference(service)};
  object.get_object()["addressType"] = "IPv4";
  object.get_object()["endpoints"] = slice.endpoints;
  object.get_object()["ports"] = slice.ports;
}

std::vector<ObjectRef> SlicesOf(const ObjectStore& store, const ObjectKey& service) {
  std::vector<ObjectRef> slices = store.List(EndpointSliceKind(), service.ns);
  const LabelSelector ours =
      LabelSelector::FromMap({{std::string(kServiceLabel), service.name},
                              {std::string(kManagedBy), std::string(kManager)}});
  std::erase_if(slices, [&](const ObjectRef& slice) { return !ours.Matches(slice->labels); });
  return slices;
}

}  // namespace

SliceController::SliceController(ObjectStore& store)
    : store_(store),
      dirty_(store.loop(), [this](const DirtySet::Entry& entry) { Reconcile(entry.second); }) {
  feeds_.push_back(std::make_unique<KindFeed>(store, ServiceKind(), [this](const Change& change) {
    dirty_.Mark(ServiceKind(), change.object->key);
  }));
  feeds_.push_back(std::make_unique<KindFeed>(store, PodKind(),
                                              [this](const Change& change) { OnPod(change); }));
}

void SliceController::OnPod(const Change& change) {
  for (const ObjectRef& service : store_.List(ServiceKind(), change.object->key.ns)) {
    const LabelSelector selector = LabelSelector::FromMap(SelectorOf(*service->json));
    if (selector.empty()) continue;
    if (selector.Matches(change.object->labels) ||
        (change.before != nullptr && selector.Matches(change.before->labels))) {
      dirty_.Mark(ServiceKind(), service->key);
    }
  }
}

void SliceController::RemoveSlices(const ObjectKey& service) {
  for (const ObjectRef& slice : SlicesOf(store_, service)) {
    (void)store_.Delete(EndpointSliceKind(), slice->key, {}).ok();
  }
}

void SliceController::Reconcile(const ObjectKey& key) {
  const ObjectRef service = store_.Get(ServiceKind(), key);
  if (service == nullptr || SelectorOf(*service->json).empty()) return RemoveSlices(key);
  std::vector<ObjectRef> existing = SlicesOf(store_, key);
  for (const Slice& wanted : WantedSlices(store_, *service)) {
    const auto found = std::find_if(existing.begin(), existing.end(),
                                    [&](const ObjectRef& slice) { return Fits(*slice, wanted); });
    if (found != existing.end()) {
      const ObjectKey slice = (*found)->key;
      existing.erase(found);
      const auto edit = [&](Json& copy) -> ApiError {
        FillSlice(copy, *service, wanted);
        return {};
      };
      (void)store_.Write(EndpointSliceKind(), slice, WritePart::kAll, edit).ok();
      continue;
    }
    Json made = json::object();
    FillSlice(made, *service, wanted);
    Ensure(made, {"metadata", "generateName"}) = key.name + "-";
    (void)store_.Create(EndpointSliceKind(), key.ns, made).ok();
  }
  for (const ObjectRef& left : existing) {
    (void)store_.Delete(EndpointSliceKind(), left->key, {}).ok();
  }
}

}  // namespace rouse::k8s::local
