#include "k8s/objects/secret.h"

#include <absl/strings/escaping.h>

#include "k8s/objects/json_node.h"

namespace rouse::k8s {

absl::StatusOr<Secret> Secret::Decode(std::string_view json) {
  JsonDocument document(json);
  const JsonNode root = document.root();
  Secret secret;
  secret.meta = DecodeMeta(root);
  secret.type = root["type"].Text();
  const JsonNode data = root["data"];
  if (!absl::Base64Unescape(data["tls.crt"].Text(), &secret.certificate) ||
      !absl::Base64Unescape(data["tls.key"].Text(), &secret.key))
    data.Fail("not base64");
  if (!document.status().ok()) return document.status();
  return secret;
}

}  // namespace rouse::k8s
