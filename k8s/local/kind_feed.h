#pragma once
// What:      KindFeed: every object of a kind once, then every change: what a controller lives on.
// Owner:     a controller. Control thread.
// Invariant: never expires; on_change is not called from inside the constructor's caller's writes,
//            but in later turns (what is there already comes in the constructor).

#include <memory>

#include <absl/functional/any_invocable.h>

#include "k8s/local/object_store.h"

namespace rouse::k8s::local {

class KindFeed {
 public:
  KindFeed(ObjectStore& store, const ResourceKind& kind,
           absl::AnyInvocable<void(const Change&)> on_change) {
    for (const ObjectRef& object : store.List(kind, "")) {
      on_change({Change::Kind::kAdded, object->version, object, nullptr});
    }
    StoreWatchHandlers handlers;
    handlers.reliable = true;
    handlers.on_change = std::move(on_change);
    watch_ = store.Watch(kind, store.version(), std::move(handlers));
  }

 private:
  std::unique_ptr<StoreWatch> watch_;
};

}  // namespace rouse::k8s::local
