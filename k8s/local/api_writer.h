#pragma once
// What:      ApiWriter: POST, PUT, PATCH and DELETE of objects, their status and their scale.
// Owner:     ApiServer. Control thread.
// Invariant: what is refused changes nothing.

#include <string>
#include <string_view>

#include "k8s/local/api_target.h"
#include "k8s/local/object_store.h"

namespace rouse::k8s::local {

class ApiWriter {
 public:
  explicit ApiWriter(ObjectStore& store) : store_(store) {}

  [[nodiscard]] ApiReply Create(const ApiTarget& target, std::string_view content_type,
                                std::string_view body);
  [[nodiscard]] ApiReply Replace(const ApiTarget& target, std::string_view content_type,
                                 std::string_view body);
  [[nodiscard]] ApiReply Patch(const ApiTarget& target, std::string_view content_type,
                               std::string_view body);
  [[nodiscard]] ApiReply Delete(const ApiTarget& target, std::string_view body);

 private:
  [[nodiscard]] ApiReply CreateObject(const ApiTarget& target, Json object);
  [[nodiscard]] ApiReply PatchScale(const ApiTarget& target, const Json& patch,
                                    std::string_view type);
  [[nodiscard]] ApiReply DeleteAll(const ApiTarget& target, const DeleteOptions& options);
  void Orphan(const ApiTarget& target);
  [[nodiscard]] ApiError Admit(const ApiTarget& target, Json& object, const Json* before);
  [[nodiscard]] std::string NextClusterIp();

  ObjectStore& store_;
  uint32_t cluster_ips_ = 1;
};

}  // namespace rouse::k8s::local
