#include "k8s/api_client.h"

#include "k8s/api_call.h"

namespace rouse::k8s {

ApiClient::ApiClient(control::Network& network, Credentials& credentials, ApiClientOptions options)
    : session_(network, credentials, std::move(options)) {}

ApiClient::~ApiClient() = default;

// ---- plain calls ------------------------------------------------------------------------------

std::unique_ptr<ApiCall> ApiClient::Send(ApiRequest request, BodyHandler handler) {
  if (request.deadline == Duration()) request.deadline = options().limits.deadline;
  return std::make_unique<UnaryCall>(session_, std::move(request), std::move(handler));
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
  request.query = {{"fieldManager", options().component}};
  request.body = std::move(body);
  request.call_class = CallClass::kWrite;
  return Send(std::move(request), std::move(handler));
}

std::unique_ptr<ApiCall> ApiClient::Update(const ResourceType& type, const ObjectKey& key,
                                           std::string body, BodyHandler handler) {
  ApiRequest request;
  request.method = "PUT";
  request.path = ObjectPath(type, key);
  request.query = {{"fieldManager", options().component}};
  request.body = std::move(body);
  request.call_class = CallClass::kWrite;
  return Send(std::move(request), std::move(handler));
}

std::unique_ptr<ApiCall> ApiClient::MergePatch(std::string path, std::string body,
                                               CallClass call_class, BodyHandler handler) {
  ApiRequest request;
  request.method = "PATCH";
  request.path = std::move(path);
  request.query = {{"fieldManager", options().component}};
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
  request.query = {{"fieldManager", options().component}};
  request.content_type = "application/json-patch+json";
  request.body = std::move(body);
  request.call_class = call_class;
  return Send(std::move(request), std::move(handler));
}

std::unique_ptr<ApiCall> ApiClient::List(const ResourceType& type, std::string_view ns,
                                         ListQuery query, ListHandlers handlers) {
  return std::make_unique<ListCall>(session_, CollectionPath(type, ns), std::move(query),
                                    std::move(handlers));
}

std::unique_ptr<ApiCall> ApiClient::Watch(const ResourceType& type, std::string_view ns,
                                          WatchQuery query, WatchHandlers handlers) {
  ApiRequest request;
  request.call_class = CallClass::kWatch;
  request.path = CollectionPath(type, ns);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(query.timeout).count();
  request.query = {
      {"watch", "1"}, {"allowWatchBookmarks", "true"}, {"timeoutSeconds", std::to_string(seconds)}};
  if (query.send_initial) {
    request.query.emplace_back("sendInitialEvents", "true");
    request.query.emplace_back("resourceVersionMatch", "NotOlderThan");
  }
  if (!query.resource_version.empty()) {
    request.query.emplace_back("resourceVersion", std::move(query.resource_version));
  }
  if (!query.label_selector.empty()) {
    request.query.emplace_back("labelSelector", std::move(query.label_selector));
  }
  if (!query.field_selector.empty()) {
    request.query.emplace_back("fieldSelector", std::move(query.field_selector));
  }
  return std::make_unique<WatchCall>(session_, std::move(request), std::move(handlers));
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
