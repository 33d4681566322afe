#pragma once
// What:      Controllers: Deployments and StatefulSets become pods, Services endpoint slices, and
//            what lost its owner goes.
// Owner:     LocalCluster. Control thread.
// Invariant: each works on the state of now (level-triggered), in the turn after a change, without
//            a timer.

#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "k8s/local/kind_feed.h"
#include "k8s/local/object_store.h"

namespace rouse::k8s::local {

/// Runs `reconcile` for each object marked since the last turn, once.
class DirtySet {
 public:
  using Entry = std::pair<const ResourceKind*, ObjectKey>;
  DirtySet(control::Loop& loop, absl::AnyInvocable<void(const Entry&)> reconcile);
  ~DirtySet();
  void Mark(const ResourceKind& kind, const ObjectKey& key);

 private:
  void Run();
  control::Loop& loop_;
  absl::AnyInvocable<void(const Entry&)> reconcile_;
  std::set<Entry> dirty_;
  std::shared_ptr<bool> alive_;
};

/// Keeps the pods of Deployments and StatefulSets.
class WorkloadController {
 public:
  explicit WorkloadController(ObjectStore& store);

 private:
  void OnPod(const Change& change);
  void Reconcile(const DirtySet::Entry& entry);

  ObjectStore& store_;
  DirtySet dirty_;
  std::vector<std::unique_ptr<KindFeed>> feeds_;
};

/// Keeps the endpoint slices of Services.
class SliceController {
 public:
  explicit SliceController(ObjectStore& store);

 private:
  void OnPod(const Change& change);
  void Reconcile(const ObjectKey& service);
  void RemoveSlices(const ObjectKey& service);

  ObjectStore& store_;
  DirtySet dirty_;
  std::vector<std::unique_ptr<KindFeed>> feeds_;
};

/// Deletes what a deleted owner or namespace leaves behind.
class Collector {
 public:
  explicit Collector(ObjectStore& store);

 private:
  void OnChange(const Change& change);
  ObjectStore& store_;
  std::vector<std::unique_ptr<KindFeed>> feeds_;
};

struct Controllers {
  explicit Controllers(ObjectStore& store) : workloads(store), slices(store), collector(store) {}
  WorkloadController workloads;
  SliceController slices;
  Collector collector;
};

}  // namespace rouse::k8s::local
