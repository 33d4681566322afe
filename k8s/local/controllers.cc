#include "k8s/local/controllers.h"

#include <boost/json.hpp>

#include "k8s/local/pod_facts.h"
#include "k8s/local/pod_replicas.h"

namespace rouse::k8s::local {

DirtySet::DirtySet(control::Loop& loop, absl::AnyInvocable<void(const Entry&)> reconcile)
    : loop_(loop), reconcile_(std::move(reconcile)), alive_(std::make_shared<bool>(true)) {}

DirtySet::~DirtySet() { *alive_ = false; }

void DirtySet::Mark(const ResourceKind& kind, const ObjectKey& key) {
  if (dirty_.empty()) {
    loop_.Post([this, alive = alive_] {
      if (*alive) Run();
    });
  }
  dirty_.insert({&kind, key});
}

void DirtySet::Run() {
  for (const Entry& entry : std::exchange(dirty_, {})) reconcile_(entry);
}

WorkloadController::WorkloadController(ObjectStore& store)
    : store_(store), dirty_(store.loop(), [this](const DirtySet::Entry& e) { Reconcile(e); }) {
  for (const ResourceKind* kind : {&DeploymentKind(), &StatefulSetKind()}) {
    feeds_.push_back(std::make_unique<KindFeed>(store, *kind, [this](const Change& change) {
      dirty_.Mark(*change.object->kind, change.object->key);
    }));
  }
  feeds_.push_back(std::make_unique<KindFeed>(store, PodKind(),
                                              [this](const Change& change) { OnPod(change); }));
}

void WorkloadController::OnPod(const Change& change) {
  for (const Json& owner : ArrayAt(*change.object->json, {"metadata", "ownerReferences"})) {
    const ResourceKind* kind = FindKindOf(TextAt(owner, {"apiVersion"}), TextAt(owner, {"kind"}));
    if (kind == &DeploymentKind() || kind == &StatefulSetKind()) {
      dirty_.Mark(*kind, {change.object->key.ns, TextAt(owner, {"name"})});
    }
  }
}

void WorkloadController::Reconcile(const DirtySet::Entry& entry) {
  const ObjectRef object = store_.Get(*entry.first, entry.second);
  if (object == nullptr || object->deleting()) return;
  if (entry.first == &StatefulSetKind()) {
    ReconcileStatefulSet(store_, *object);
  } else {
    ReconcileDeployment(store_, *object);
  }
}

Collector::Collector(ObjectStore& store) : store_(store) {
  for (const ResourceKind* kind : {&NamespaceKind(), &ServiceKind(), &DeploymentKind(),
                                   &StatefulSetKind(), &ConfigMapKind()}) {
    feeds_.push_back(std::make_unique<KindFeed>(
        store, *kind, [this](const Change& change) { OnChange(change); }));
  }
}

void Collector::OnChange(const Change& change) {
  if (change.kind != Change::Kind::kDeleted) return;
  std::vector<ObjectRef> left = DependentsOf(store_, change.object->uid);
  if (change.object->kind == &NamespaceKind()) {
    for (const ResourceKind& kind : AllKinds()) {
      if (!kind.namespaced) continue;
      const std::vector<ObjectRef> inside = store_.List(kind, change.object->key.name);
      left.insert(left.end(), inside.begin(), inside.end());
    }
  }
  for (const ObjectRef& object : left) {
    // Gone already is as good.
    (void)store_.Delete(*object->kind, object->key, DeleteOptions::Exactly(object->uid)).ok();
  }
}

}  // namespace rouse::k8s::local
