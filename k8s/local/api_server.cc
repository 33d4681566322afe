#include "k8s/local/api_server.h"

#include <utility>

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <boost/json.hpp>

#include "k8s/local/discovery.h"

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

/// A whole list may wait for its reader, as the beginning of a watch.
constexpr size_t kWatchBytesMax = 64 << 20;
constexpr std::string_view kFaultsPath = "/rouse.local/faults";

void Send(control::HttpResponder& responder, ApiReply reply) {
  reply.headers.push_back({"Content-Type", reply.content_type});
  responder.Respond(reply.status, std::move(reply.headers), std::move(reply.body));
}

bool IsHealth(std::string_view path) {
  return path == "/livez" || path == "/readyz" || path == "/healthz";
}

/// A subresource that this kind has.
bool HasSubresource(const ResourceKind& kind, std::string_view name) {
  if (name.empty()) return true;
  if (name == "status") return kind.has_status;
  if (name == "scale") return kind.has_scale;
  return name == "log" && kind.plural == "pods";
}

}  // namespace

ApiServer::ApiServer(control::Network& network, ObjectStore& store, obs::Log& log,
                     ApiServerOptions options)
    : network_(network),
      store_(store),
      log_(log),
      options_(std::move(options)),
      reader_(store),
      writer_(store),
      watches_(store, options_.watches),
      log_streams_(network.loop()),
      faults_(network.loop(),
              FaultHooks{[this] { watches_.CutAll(); }, [this] { store_.Compact(); },
                         [this](bool silent) { SetSilent(silent); },
                         [this](bool down) { SetDown(down); },
                         [this](StreamedLists mode) { watches_.SetStreamedLists(mode); }}),
      alive_(std::make_shared<bool>(true)) {}

ApiServer::~ApiServer() { *alive_ = false; }

absl::Status ApiServer::Start() { return Listen(); }

absl::Status ApiServer::Listen() {
  control::ListenOptions listen;
  listen.host = options_.host;
  listen.port = port_ != 0 ? port_ : options_.port;
  listen.tls = options_.tls;
  listen.messages.queue_bytes_max = kWatchBytesMax;
  absl::StatusOr<std::unique_ptr<control::HttpListener>> listener =
      network_.Listen(std::move(listen), *this);
  if (!listener.ok()) return listener.status();
  listener_ = std::move(*listener);
  port_ = listener_->port();
  return absl::OkStatus();
}

void ApiServer::Serve(control::IncomingRequest request, Responder responder) {
  ++requests_;
  const std::string_view path =
      std::string_view(request.target).substr(0, request.target.find('?'));
  if (path == kFaultsPath) return Send(*responder, ServeFaults(request));
  if (faults_.silent()) {
    held_.push_back(std::move(responder));
    return;
  }
  if (const std::optional<ApiError> fault = faults_.AnswerFor(path)) {
    return Send(*responder, ApiReply::Failed(*fault));
  }
  const Duration delay = faults_.DelayFor(path);
  if (delay == Duration::zero()) return Answer(request, std::move(responder));
  network_.loop().At(Later(network_.loop().now(), delay),
                     [this, alive = alive_, request = std::move(request),
                      responder = std::move(responder)]() mutable {
                       if (*alive) Answer(request, std::move(responder));
                     });
}

bool ApiServer::Allowed(const control::IncomingRequest& request) const {
  if (options_.tokens.empty()) return true;
  const auto header = control::FindHeader(request.headers, "Authorization");
  if (!header || header->size() < 8) return false;
  if (!absl::EqualsIgnoreCase({header->data(), 7}, "Bearer ")) return false;
  return options_.tokens.contains(std::string(header->substr(7)));
}

void ApiServer::Answer(const control::IncomingRequest& request, Responder responder) {
  const ApiTarget target = ApiTarget::Parse(request.target);
  const bool open = IsHealth(target.path) || target.path == "/version";
  if (!open && !Allowed(request)) return Send(*responder, ApiReply::Failed(Unauthorized()));
  if (request.method == "GET" && target.kind != nullptr) {
    if (target.subresource.empty() &&
        (target.QueryFlag("watch") || target.Query("watch") == "true")) {
      return watches_.Start(target, std::move(responder));
    }
    if (target.subresource == "log" && target.kind == &PodKind()) {
      return log_streams_.Start(target, logs_, std::move(responder));
    }
  }
  Send(*responder, Route(request, target));
}

ApiReply ApiServer::Route(const control::IncomingRequest& request, const ApiTarget& target) {
  const std::string& method = request.method;
  if (IsHealth(target.path)) return {200, "ok", "text/plain", {}};
  if (target.path == "/apis/authentication.k8s.io/v1/tokenreviews") return ReviewToken(request);
  if (target.kind == nullptr) {
    const std::optional<std::string> document = DiscoveryText(target.path);
    if (!document) return ApiReply::Failed(PathNotFound());
    if (method != "GET") return ApiReply::Failed(MethodNotAllowed());
    return ApiReply::Of(200, *document + "\n");
  }
  if (!HasSubresource(*target.kind, target.subresource)) return ApiReply::Failed(PathNotFound());
  const std::string type(control::FindHeader(request.headers, "Content-Type").value_or(""));
  if (method == "GET") return target.name.empty() ? reader_.List(target) : reader_.Get(target);
  if (method == "PATCH") return writer_.Patch(target, type, request.body);
  if (method == "PUT") return writer_.Replace(target, type, request.body);
  if (method == "DELETE" && target.subresource.empty()) {
    return writer_.Delete(target, request.body);
  }
  if (method == "POST") return writer_.Create(target, type, request.body);
  return ApiReply::Failed(MethodNotAllowed());
}

/// Says whose a token is (authentication.k8s.io/v1 TokenReview).
ApiReply ApiServer::ReviewToken(const control::IncomingRequest& request) {
  if (request.method != "POST") return ApiReply::Failed(MethodNotAllowed());
  const absl::StatusOr<Json> review = ParseJson(request.body);
  if (!review.ok()) return ApiReply::Failed(BadRequest("couldn't read the TokenReview"));
  const std::string token = TextAt(*review, {"spec", "token"});
  const auto known = options_.tokens.find(token);
  json::object status{{"authenticated", known != options_.tokens.end()}};
  if (known != options_.tokens.end()) {
    status["user"] = json::object{{"username", known->second}, {"uid", known->second}};
    if (const Json* audiences = Find(*review, {"spec", "audiences"})) {
      status["audiences"] = *audiences;
    }
  } else {
    status["error"] = "invalid bearer token";
  }
  json::object answer{{"kind", "TokenReview"},
                      {"apiVersion", "authentication.k8s.io/v1"},
                      {"metadata", json::object()},
                      {"spec", json::object{{"token", token}}},
                      {"status", std::move(status)}};
  return ApiReply::Of(201, json::serialize(answer) + "\n");
}

ApiReply ApiServer::ServeFaults(const control::IncomingRequest& request) {
  if (!Allowed(request)) return ApiReply::Failed(Unauthorized());
  if (request.method == "DELETE") {
    faults_.Clear();
  } else if (request.method == "POST") {
    const absl::StatusOr<Json> spec = ParseJson(request.body);
    if (!spec.ok()) return ApiReply::Failed(BadRequest(std::string(spec.status().message())));
    if (const ApiError error = faults_.Add(*spec); !error.ok()) return ApiReply::Failed(error);
  } else if (request.method != "GET") {
    return ApiReply::Failed(MethodNotAllowed());
  }
  return ApiReply::Of(200, faults_.Text() + "\n");
}

void ApiServer::SetSilent(bool silent) {
  watches_.SetSilent(silent);
  if (silent) return;
  // Whoever waited through a silence finds the connection dead, as after a lost route.
  for (Responder& responder : std::exchange(held_, {})) responder->Abort();
  watches_.CutAll();
}

void ApiServer::SetDown(bool down) {
  if (down) {
    watches_.CutAll();
    held_.clear();
    listener_.reset();
    return;
  }
  if (const absl::Status status = Listen(); !status.ok()) {
    log_.Error("api_listen_failed", {{"error", std::string(status.message())}});
  }
}

}  // namespace rouse::k8s::local
