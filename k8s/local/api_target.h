#pragma once
// What:      ApiTarget, what a request's path and query mean to the API; ApiReply, a finished
//            answer.
// Owner:     values. Any thread.
// Limits:    the HTTP server's bound on a head.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/object_key.h"
#include "common/control/channel.h"
#include "k8s/local/api_error.h"
#include "k8s/local/resource_kind.h"

namespace rouse::k8s::local {

struct ApiTarget {
  std::string path;  ///< decoded, without the query
  std::map<std::string, std::string> query;
  const ResourceKind* kind = nullptr;  ///< nullptr: not a resource of the store
  std::string ns;
  std::string name;
  std::string subresource;

  [[nodiscard]] static ApiTarget Parse(std::string_view target);

  [[nodiscard]] ObjectKey key() const { return {ns, name}; }
  /// A query parameter; empty where absent.
  [[nodiscard]] std::string Query(const std::string& name) const;
  [[nodiscard]] bool QueryFlag(const std::string& name) const;
  [[nodiscard]] std::optional<int64_t> QueryNumber(const std::string& name) const;
};

/// With %XX and (in a query) + undone; what is malformed stays as it is.
[[nodiscard]] std::string PercentDecoded(std::string_view text, bool query);
[[nodiscard]] std::string PercentEncoded(std::string_view text);

struct ApiReply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  control::Headers headers;

  static ApiReply Of(int status, std::string body) {
    return {status, std::move(body), "application/json", {}};
  }
  static ApiReply Failed(const ApiError& error);
};

}  // namespace rouse::k8s::local
