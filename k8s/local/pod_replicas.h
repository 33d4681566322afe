#pragma once
// What:      the work of the workload controllers: as many pods as wanted, of the template of now,
//            and the status that says so.
// Owner:     nobody; functions on the store, called by WorkloadController. Control thread.
// Invariant: a changed template rolls: at most one pod more than wanted, and no ready pod goes
//            before its replacement is ready. Removed first: not ready, then newest.

#include "k8s/local/object_store.h"

namespace rouse::k8s::local {

inline constexpr std::string_view kTemplateHashLabel = "pod-template-hash";
inline constexpr std::string_view kRevisionHashLabel = "controller-revision-hash";

void ReconcileDeployment(ObjectStore& store, const StoredObject& deployment);
void ReconcileStatefulSet(ObjectStore& store, const StoredObject& set);

}  // namespace rouse::k8s::local
