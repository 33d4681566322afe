#pragma once
// What:      EventWriter: what rouse-local itself has to say about an object, as Events that people
//            see with `get events`.
// Owner:     whoever runs pods. Control thread.
// Invariant: the same remark about the same object is one Event whose count grows.

#include <map>
#include <string>
#include <string_view>

#include "k8s/local/object_store.h"

namespace rouse::k8s::local {

class EventWriter {
 public:
  EventWriter(ObjectStore& store, std::string component)
      : store_(store), component_(std::move(component)) {}

  void Normal(const StoredObject& about, std::string_view reason, std::string_view message) {
    Write(about, "Normal", reason, message);
  }
  void Warning(const StoredObject& about, std::string_view reason, std::string_view message) {
    Write(about, "Warning", reason, message);
  }

 private:
  void Write(const StoredObject& about, std::string_view type, std::string_view reason,
             std::string_view message);
  ObjectStore& store_;
  std::string component_;
};

}  // namespace rouse::k8s::local
