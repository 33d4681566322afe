#include "k8s/local/pod_replicas.h"

#include <algorithm>
#include <charconv>

#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/local/admit.h"
#include "k8s/local/pod_facts.h"

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

/// FNV-1a over the template's text, in the letters that Kubernetes uses for such hashes.
std::string TemplateHash(const StoredObject& object) {
  static constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
  const Json* pod = Find(*object.json, {"spec", "template"});
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (unsigned char c : pod == nullptr ? std::string() : JsonText(*pod)) {
    hash = (hash ^ c) * 0x100000001b3ULL;
  }
  std::string text;
  for (int i = 0; i < 9; ++i, hash /= kLetters.size()) text += kLetters[hash % kLetters.size()];
  return text;
}

Json PodFromTemplate(const StoredObject& owner, std::string_view name, std::string_view hash_label,
                     const std::string& hash) {
  const Json* given = Find(*owner.json, {"spec", "template"});
  Json pod = given == nullptr ? Json(json::object()) : *given;
  json::object& metadata = EnsureObject(pod, {"metadata"});
  metadata["name"] = std::string(name);
  metadata["ownerReferences"] = json::array{OwnerReference(owner)};
  Ensure(pod, {"metadata", "labels", hash_label}) = hash;
  FillDefaults(PodKind(), pod);
  return pod;
}

std::vector<ObjectRef> OwnedPods(const ObjectStore& store, const StoredObject& owner) {
  std::vector<ObjectRef> pods = store.List(PodKind(), owner.key.ns);
  std::erase_if(pods, [&](const ObjectRef& pod) { return OwnerUid(*pod->json) != owner.uid; });
  return pods;
}

std::string LabelOf(const StoredObject& pod, std::string_view label) {
  const auto found = pod.labels.find(std::string(label));
  return found == pod.labels.end() ? std::string() : found->second;
}

int64_t CountReady(const std::vector<ObjectRef>& pods) {
  return std::count_if(pods.begin(), pods.end(),
                       [](const ObjectRef& pod) { return IsReady(*pod->json); });
}

/// Not ready first, then newest.
void SortForRemoval(std::vector<ObjectRef>& pods) {
  std::sort(pods.begin(), pods.end(), [](const ObjectRef& a, const ObjectRef& b) {
    const bool ready_a = IsReady(*a->json);
    const bool ready_b = IsReady(*b->json);
    return ready_a != ready_b ? !ready_a : a->created > b->created;
  });
}

void DeletePod(ObjectStore& store, const ObjectRef& pod) {
  (void)store.Delete(PodKind(), pod->key, DeleteOptions::Exactly(pod->uid)).ok();
}

struct Counts {
  int64_t wanted = 0;
  int64_t replicas = 0;
  int64_t ready = 0;
  int64_t updated = 0;
};

void SetCount(json::object& status, std::string_view name, int64_t count) {
  const json::string_view key(name.data(), name.size());
  if (count == 0) {
    status.erase(key);
  } else {
    status[key] = count;
  }
}

/// Sets a condition; its time moves only when its status does.
void SetCondition(Json& object, std::string_view type, bool holds, std::string_view reason,
                  const std::string& now) {
  json::value& list = Ensure(object, {"status", "conditions"});
  if (!list.is_array()) list = json::array();
  const char* status = holds ? "True" : "False";
  for (json::value& condition : list.get_array()) {
    if (TextAt(condition, {"type"}) != type) continue;
    if (TextAt(condition, {"status"}) != status) Ensure(condition, {"lastTransitionTime"}) = now;
    Ensure(condition, {"status"}) = status;
    Ensure(condition, {"reason"}) = std::string(reason);
    return;
  }
  list.get_array().push_back(json::object{{"type", std::string(type)},
                                          {"status", status},
                                          {"reason", std::string(reason)},
                                          {"lastTransitionTime", now}});
}

void WriteStatus(ObjectStore& store, const StoredObject& object, const Counts& counts,
                 const std::string& hash) {
  const std::string now = TimeText(store.loop().clock().wall());
  const auto edit = [&](Json& copy) -> ApiError {
    json::object& status = EnsureObject(copy, {"status"});
    status["observedGeneration"] = NumberAt(copy, {"metadata", "generation"}, 1);
    SetCount(status, "replicas", counts.replicas);
    SetCount(status, "updatedReplicas", counts.updated);
    SetCount(status, "readyReplicas", counts.ready);
    SetCount(status, "availableReplicas", counts.ready);
    if (object.kind == &DeploymentKind()) {
      SetCount(status, "unavailableReplicas", std::max<int64_t>(0, counts.wanted - counts.ready));
      const bool available = counts.ready >= counts.wanted;
      SetCondition(copy, "Available", available,
                   available ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable", now);
      const bool complete =
          available && counts.updated == counts.wanted && counts.replicas == counts.wanted;
      SetCondition(copy, "Progressing", true,
                   complete ? "NewReplicaSetAvailable" : "ReplicaSetUpdated", now);
    } else {
      status["updateRevision"] = object.key.name + "-" + hash;
      SetCount(status, "currentReplicas", counts.updated);
    }
    return {};
  };
  (void)store.Write(*object.kind, object.key, WritePart::kStatus, edit).ok();
}

/// Old pods that may go: all that are not ready, and as many ready ones as there are ready pods to
/// spare.
void RemoveOld(ObjectStore& store, std::vector<ObjectRef>& old, int64_t ready_total,
               int64_t wanted) {
  SortForRemoval(old);
  int64_t spare = std::max<int64_t>(0, ready_total - wanted);
  std::erase_if(old, [&](const ObjectRef& pod) {
    if (IsReady(*pod->json) && spare-- <= 0) return false;
    DeletePod(store, pod);
    return true;
  });
}

}  // namespace

void ReconcileDeployment(ObjectStore& store, const StoredObject& deployment) {
  const int64_t wanted = NumberAt(*deployment.json, {"spec", "replicas"}, 1);
  const std::string hash = TemplateHash(deployment);
  const bool recreate = TextAt(*deployment.json, {"spec", "strategy", "type"}) == "Recreate";
  std::vector<ObjectRef> current;
  std::vector<ObjectRef> old;
  bool leaving = false;
  for (ObjectRef& pod : OwnedPods(store, deployment)) {
    const bool ours = LabelOf(*pod, kTemplateHashLabel) == hash;
    if (!IsActive(*pod)) {
      leaving = leaving || (pod->deleting() && !ours);
    } else {
      (ours ? current : old).push_back(std::move(pod));
    }
  }
  if (recreate) {
    for (const ObjectRef& pod : old) DeletePod(store, pod);
    leaving = leaving || !old.empty();
    old.clear();
  }
  RemoveOld(store, old, CountReady(current) + CountReady(old), wanted);
  const int64_t active = static_cast<int64_t>(current.size() + old.size());
  int64_t missing = wanted - static_cast<int64_t>(current.size());
  if (!old.empty()) missing = std::min(missing, wanted + 1 - active);
  if (recreate && leaving) missing = 0;
  for (int64_t i = 0; i < missing; ++i) {
    const std::string name =
        absl::StrCat(deployment.key.name, "-", hash, "-", store.RandomSuffix());
    ApiResult<ObjectRef> made = store.Create(
        PodKind(), deployment.key.ns, PodFromTemplate(deployment, name, kTemplateHashLabel, hash));
    if (made.ok()) current.push_back(*made);
  }
  SortForRemoval(current);
  while (static_cast<int64_t>(current.size()) > wanted) {
    DeletePod(store, current.front());
    current.erase(current.begin());
  }
  WriteStatus(store, deployment,
              {wanted, static_cast<int64_t>(current.size() + old.size()),
               CountReady(current) + CountReady(old), static_cast<int64_t>(current.size())},
              hash);
}

namespace {

/// The number at the end of a StatefulSet's pod; -1 where there is none.
int64_t Ordinal(const StoredObject& pod) {
  const size_t dash = pod.key.name.rfind('-');
  int64_t number = -1;
  const char* end = pod.key.name.data() + pod.key.name.size();
  std::from_chars(pod.key.name.data() + dash + 1, end, number);
  return number;
}

void CreateOrdinal(ObjectStore& store, const StoredObject& set, int64_t ordinal,
                   const std::string& hash) {
  const std::string name = absl::StrCat(set.key.name, "-", ordinal);
  Json pod = PodFromTemplate(set, name, kRevisionHashLabel, hash);
  Ensure(pod, {"metadata", "labels", "statefulset.kubernetes.io/pod-name"}) = name;
  Ensure(pod, {"metadata", "labels", "apps.kubernetes.io/pod-index"}) = std::to_string(ordinal);
  (void)store.Create(PodKind(), set.key.ns, pod).ok();
}

}  // namespace

void ReconcileStatefulSet(ObjectStore& store, const StoredObject& set) {
  const int64_t wanted = NumberAt(*set.json, {"spec", "replicas"}, 1);
  const bool parallel = TextAt(*set.json, {"spec", "podManagementPolicy"}) == "Parallel";
  const std::string hash = TemplateHash(set);
  std::map<int64_t, ObjectRef> pods;
  for (ObjectRef& pod : OwnedPods(store, set)) pods[Ordinal(*pod)] = std::move(pod);
  bool settled = true;  // Every pod below is there and ready.
  for (int64_t ordinal = 0; ordinal < wanted && (parallel || settled); ++ordinal) {
    const auto found = pods.find(ordinal);
    if (found == pods.end()) CreateOrdinal(store, set, ordinal, hash);
    settled = settled && found != pods.end() && !found->second->deleting() &&
              IsReady(*found->second->json);
  }
  // Highest first: those not wanted, one at a time unless parallel; then, once all is well, an
  // outdated one.
  for (auto pod = pods.rbegin(); pod != pods.rend(); ++pod) {
    if (pod->first < wanted) break;
    if (!pod->second->deleting()) DeletePod(store, pod->second);
    if (!parallel) break;
  }
  Counts counts{wanted, 0, 0, 0};
  ObjectRef outdated;
  for (const auto& [ordinal, pod] : pods) {
    if (!IsActive(*pod) || ordinal >= wanted) continue;
    ++counts.replicas;
    if (IsReady(*pod->json)) ++counts.ready;
    if (LabelOf(*pod, kRevisionHashLabel) == hash) {
      ++counts.updated;
    } else {
      outdated = pod;
    }
  }
  if (settled && outdated != nullptr) DeletePod(store, outdated);
  WriteStatus(store, set, counts, hash);
}

}  // namespace rouse::k8s::local
