#include "k8s/api_client.h"

#include <algorithm>

#include "common/base/check.h"
#include "k8s/api_call.h"
#include "k8s/json_split.h"

namespace rouse::k8s {
namespace {

/// Percent-encodes all but RFC 3986's unreserved characters.
void AppendEscaped(std::string& to, std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      to += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    to += '%';
    to += kHex[byte >> 4];
    to += kHex[byte & 15];
  }
}

std::vector<TokenBudget> NewBudgets(const ApiLimits& limits) {
  // In the order of CallClass.
  return {TokenBudget(limits.lease), TokenBudget(limits.wake), TokenBudget(limits.write),
          TokenBudget(limits.read), TokenBudget(limits.event)};
}

}  // namespace

ApiClient::ApiClient(control::Network& network, Credentials& credentials, ApiClientOptions options)
    : network_(network),
      credentials_(credentials),
      options_(std::move(options)),
      budgets_(NewBudgets(options_.limits)) {
  CHECK(budgets_.size() == kCallClasses);
}

ApiClient::~ApiClient() = default;

ApiClient::Connections* ApiClient::Connect() {
  credentials_.RefreshIfDue();
  const uint64_t generation = credentials_.tls_generation();
  if (connections_.empty() || connections_.front()->generation != generation) {
    connections_.remove_if([](const auto& each) { return each->calls == 0; });
    connections_.push_front(std::make_unique<Connections>(
        Connections{network_.NewClient(credentials_.origin()), generation, 0}));
  }
  Connections* current = connections_.front().get();
  ++current->calls;
  return current;
}

void ApiClient::Release(Connections* connections) {
  if (--connections->calls > 0 || connections == connections_.front().get()) return;
  connections_.remove_if([&](const auto& each) { return each.get() == connections; });
}

TokenBudget& ApiClient::budget(CallClass call_class) {
  return budgets_[static_cast<size_t>(call_class)];
}

control::HttpRequest ApiClient::Prepare(const ApiRequest& request) const {
  control::HttpRequest http;
  http.method = request.method;
  http.target = credentials_.base_path() + request.path;
  char separator = '?';
  for (const auto& [key, value] : request.query) {
    http.target += separator;
    separator = '&';
    AppendEscaped(http.target, key);
    http.target += '=';
    AppendEscaped(http.target, value);
  }
  http.headers.push_back(
      {"User-Agent", "rouse/" + options_.version + " (linux/amd64) " + options_.component});
  http.headers.push_back({"Accept", "application/json"});
  if (const auto authorization = credentials_.authorization()) {
    http.headers.push_back(*authorization);
  }
  if (!request.body.empty()) http.headers.push_back({"Content-Type", request.content_type});
  http.body = request.body;
  return http;
}

// ---- plain calls ------------------------------------------------------------------------------

std::unique_ptr<ApiCall> ApiClient::Send(ApiRequest request, BodyHandler handler) {
  if (request.deadline == Duration()) request.deadline = options_.limits.deadline;
  return std::make_unique<UnaryCall>(*this, std::move(request), std::move(handler));
}

std::unique_ptr<ApiCall> ApiClient::Get(const ResourceType& type, const ObjectKey& key,
                                        BodyHandler handler) {
  ApiRequest request;
  request.path = ObjectPath(type, key);
  return Send(std::move(request), std::move(handler));
}

std::unique_ptr<ApiCall> ApiClient::Create(const ResourceType& type, std::string_view ns,
                                           std::string body, BodyHandler handler) {
  ApiRequest request;
  request.method = "POST";
  request.path = CollectionPath(type, ns);
  request.query = {{"fieldManager", options_.component}};
  request.body = std::move(body);
  request.call_class = CallClass::kWrite;
  return Send(std::move(request), std::move(handler));
}

std::unique_ptr<ApiCall> ApiClient::Update(const ResourceType& type, const ObjectKey& key,
                                           std::string body, BodyHandler handler) {
  ApiRequest request;
  request.method = "PUT";
  request.path = ObjectPath(type, key);
  request.query = {{"fieldManager", options_.component}};
  request.body = std::move(body);
  request.call_class = CallClass::kWrite;
  return Send(std::move(request), std::move(handler));
}

std::unique_ptr<ApiCall> ApiClient::MergePatch(std::string path, std::string body,
                                               CallClass call_class, BodyHandler handler) {
  ApiRequest request;
  request.method = "PATCH";
  request.path = std::move(path);
  request.query = {{"fieldManager", options_.component}};
  request.content_type = "application/merge-patch+json";
  request.body = std::move(body);
  request.call_class = call_class;
  return Send(std::move(request), std::move(handler));
}

std::unique_ptr<ApiCall> ApiClient::JsonPatch(std::string path, std::string body,
                                              CallClass call_class, BodyHandler handler) {
  ApiRequest request;
  request.method = "PATCH";
  request.path = std::move(path);
  request.query = {{"fieldManager", options_.component}};
  request.content_type = "application/json-patch+json";
  request.body = std::move(body);
  request.call_class = call_class;
  return Send(std::move(request), std::move(handler));
}

std::unique_ptr<ApiCall> ApiClient::List(const ResourceType& type, std::string_view ns,
                                         ListQuery query, ListHandlers handlers) {
  return std::make_unique<ListCall>(*this, CollectionPath(type, ns), std::move(query),
                                    std::move(handlers));
}

std::unique_ptr<ApiCall> ApiClient::Watch(const ResourceType& type, std::string_view ns,
                                          WatchQuery query, WatchHandlers handlers) {
  ApiRequest request;
  request.path = CollectionPath(type, ns);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(query.timeout).count();
  request.query = {
      {"watch", "1"}, {"allowWatchBookmarks", "true"}, {"timeoutSeconds", std::to_string(seconds)}};
  if (!query.resource_version.empty()) {
    request.query.emplace_back("resourceVersion", std::move(query.resource_version));
  }
  if (!query.label_selector.empty()) {
    request.query.emplace_back("labelSelector", std::move(query.label_selector));
  }
  if (!query.field_selector.empty()) {
    request.query.emplace_back("fieldSelector", std::move(query.field_selector));
  }
  return std::make_unique<WatchCall>(*this, std::move(request), std::move(handlers));
}

// ---- scale and leases -------------------------------------------------------------------------

namespace {

/// Decodes the body of a good answer and hands it on.
template <typename T>
BodyHandler Decoding(absl::AnyInvocable<void(absl::StatusOr<T>)> handler) {
  return [handler = std::move(handler)](absl::StatusOr<std::string> body) mutable {
    if (!body.ok()) return handler(body.status());
    handler(T::Decode(*body));
  };
}

}  // namespace

std::unique_ptr<ApiCall> ApiClient::ReadScale(const ScaleTarget& target, std::string_view ns,
                                              CallClass call_class, ScaleHandler handler) {
  ApiRequest request;
  request.path = target.ScalePath(ns);
  request.call_class = call_class;
  return Send(std::move(request), Decoding<Scale>(std::move(handler)));
}

std::unique_ptr<ApiCall> ApiClient::PatchScale(const ScaleTarget& target, std::string_view ns,
                                               int32_t replicas, std::string_view expected_version,
                                               CallClass call_class, ScaleHandler handler) {
  return MergePatch(target.ScalePath(ns), EncodeScalePatch(replicas, expected_version), call_class,
                    Decoding<Scale>(std::move(handler)));
}

std::unique_ptr<ApiCall> ApiClient::GetLease(const ObjectKey& key, Duration deadline,
                                             LeaseHandler handler) {
  ApiRequest request;
  request.path = ObjectPath(Lease::kType, key);
  request.call_class = CallClass::kLease;
  request.deadline = deadline;
  return Send(std::move(request), Decoding<Lease>(std::move(handler)));
}

std::unique_ptr<ApiCall> ApiClient::CreateLease(const Lease& lease, Duration deadline,
                                                LeaseHandler handler) {
  ApiRequest request;
  request.method = "POST";
  request.path = CollectionPath(Lease::kType, lease.meta.ns);
  request.body = lease.Encode();
  request.call_class = CallClass::kLease;
  request.deadline = deadline;
  return Send(std::move(request), Decoding<Lease>(std::move(handler)));
}

std::unique_ptr<ApiCall> ApiClient::UpdateLease(const Lease& lease, Duration deadline,
                                                LeaseHandler handler) {
  ApiRequest request;
  request.method = "PUT";
  request.path = ObjectPath(Lease::kType, lease.meta.key());
  request.body = lease.Encode();
  request.call_class = CallClass::kLease;
  request.deadline = deadline;
  return Send(std::move(request), Decoding<Lease>(std::move(handler)));
}

}  // namespace rouse::k8s
