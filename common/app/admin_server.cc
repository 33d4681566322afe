#include "common/app/admin_server.h"

#include <algorithm>

#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>

#include "common/app/values.h"

namespace rouse::app {
namespace {

using control::Headers;
using control::HttpResponder;
using control::IncomingRequest;

constexpr Duration kBeatEvery = std::chrono::seconds(1);

// The admin port is for a person's browser too: nothing of it may be framed, cached or guessed at.
const Headers& PlainHeaders() {
  static const Headers headers = {{"Content-Type", "text/plain; charset=utf-8"},
                                  {"Cache-Control", "no-store"},
                                  {"X-Content-Type-Options", "nosniff"}};
  return headers;
}

Headers JsonHeaders() {
  Headers headers = PlainHeaders();
  headers[0].value = "application/json";
  return headers;
}

std::string_view PathOf(const IncomingRequest& request) {
  return std::string_view(request.target).substr(0, request.target.find('?'));
}

bool HasQuery(const IncomingRequest& request, std::string_view name) {
  std::string_view rest = request.target;
  const size_t question = rest.find('?');
  if (question == std::string_view::npos) return false;
  rest.remove_prefix(question + 1);
  while (!rest.empty()) {
    const std::string_view part = rest.substr(0, rest.find('&'));
    if (part.substr(0, part.find('=')) == name) return true;
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
  }
  return false;
}

/// `host[:port]` without its port and brackets.
std::string HostOf(std::string_view host) {
  const size_t colon = host.rfind(':');
  const size_t bracket = host.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host = host.substr(0, colon);
  }
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return std::string(host);
}

/// Answers whatever does not read; true if it did.
bool RefuseWrites(const IncomingRequest& request, HttpResponder& responder) {
  if (request.method == "GET" || request.method == "HEAD") return false;
  Headers headers = PlainHeaders();
  headers.push_back({"Allow", "GET, HEAD"});
  responder.Respond(405, headers, "read-only\n");
  return true;
}

absl::StatusOr<std::unique_ptr<control::HttpListener>> ListenOn(control::Network& network,
                                                                const std::string& address,
                                                                control::HttpService& service) {
  const absl::StatusOr<HostPort> place = ParseHostPort(address);
  if (!place.ok()) return place.status();
  control::ListenOptions options;
  options.host = place->host;
  options.port = place->port;
  options.request_body_bytes_max = 0;
  options.connections_max = 256;
  return network.Listen(options, service);
}

}  // namespace

/// /livez, /readyz, /metrics.
class AdminServer::Health final : public control::HttpService {
 public:
  explicit Health(const AdminServer& server) : server_(server) {}

  void Serve(IncomingRequest request, std::unique_ptr<HttpResponder> responder) override {
    if (RefuseWrites(request, *responder)) return;
    const std::string_view path = PathOf(request);
    const bool verbose = HasQuery(request, "verbose");
    bool good = true;
    if (path == "/livez") {
      const std::string lines = server_.Liveness(&good);
      return Say(*responder, good, verbose, "live", lines);
    }
    if (path == "/readyz") {
      const std::string lines = server_.Readiness(&good);
      return Say(*responder, good, verbose, "ready", lines);
    }
    if (path == "/metrics" && server_.metrics_) {
      Headers headers = PlainHeaders();
      headers[0].value = "text/plain; version=0.0.4; charset=utf-8";
      return server_.Show(std::move(responder), std::move(headers), server_.metrics_);
    }
    responder->Respond(404, PlainHeaders(), "known: /livez /readyz /metrics\n");
  }

 private:
  static void Say(HttpResponder& responder, bool good, bool verbose, const char* word,
                  const std::string& lines) {
    const std::string summary = absl::StrCat(good ? "" : "not ", word, "\n");
    responder.Respond(good ? 200 : 503, PlainHeaders(),
                      good && !verbose ? summary : lines + summary);
  }

  const AdminServer& server_;
};

/// The index and the pages.
class AdminServer::Admin final : public control::HttpService {
 public:
  explicit Admin(const AdminServer& server) : server_(server) {}

  void Serve(IncomingRequest request, std::unique_ptr<HttpResponder> responder) override {
    // A web page that a person visits may not talk to this port under a name of its own (DNS
    // rebinding).
    const auto host = control::FindHeader(request.headers, "host");
    if (!host || !server_.KnowsHost(*host, request.local)) {
      return responder->Respond(403, PlainHeaders(), "this port answers to its own address only\n");
    }
    if (RefuseWrites(request, *responder)) return;
    const std::string path(PathOf(request));
    if (path == "/") return responder->Respond(200, PlainHeaders(), Index());
    const auto found = server_.pages_.find(path);
    if (found == server_.pages_.end()) {
      return responder->Respond(404, PlainHeaders(),
                                absl::StrCat("no such page; known:\n", Index()));
    }
    server_.Show(std::move(responder), JsonHeaders(), found->second.page);
  }

 private:
  [[nodiscard]] std::string Index() const {
    std::string out;
    for (const auto& [path, page] : server_.pages_)
      absl::StrAppend(&out, path, "  ", page.about, "\n");
    return out;
  }

  const AdminServer& server_;
};

AdminServer::AdminServer(control::Network& network, obs::Log& log, AdminOptions options)
    : network_(network),
      log_(log),
      options_(std::move(options)),
      health_(std::make_unique<Health>(*this)),
      admin_(std::make_unique<Admin>(*this)) {}

AdminServer::~AdminServer() {
  for (const auto& [name, timer] : timers_) network_.loop().Cancel(timer);
}

absl::Status AdminServer::Listen() {
  auto health = ListenOn(network_, options_.health_address, *health_);
  if (!health.ok()) return health.status();
  auto admin = ListenOn(network_, options_.admin_address, *admin_);
  if (!admin.ok()) return admin.status();
  health_listener_ = *std::move(health);
  admin_listener_ = *std::move(admin);
  log_.Info("admin_listening", {{"health_port", health_port()}, {"admin_port", admin_port()}});
  return absl::OkStatus();
}

void AdminServer::StopListening() {
  health_listener_ = nullptr;
  admin_listener_ = nullptr;
}

uint16_t AdminServer::health_port() const {
  return health_listener_ ? health_listener_->port() : 0;
}
uint16_t AdminServer::admin_port() const { return admin_listener_ ? admin_listener_->port() : 0; }

void AdminServer::Show(std::unique_ptr<HttpResponder> responder, Headers headers,
                       const Page& page) const {
  auto answer = [responder = std::move(responder), headers = std::move(headers), &page] {
    responder->Respond(200, headers, page());
  };
  if (!refresh_) return answer();
  refresh_(std::move(answer));
}

void AdminServer::AddReadiness(std::string name, Check check) {
  checks_.emplace_back(std::move(name), std::move(check));
}

void AdminServer::AddHeartbeat(const std::string& name) { beats_[name] = network_.loop().now(); }

void AdminServer::Beat(const std::string& name) {
  const auto found = beats_.find(name);
  if (found != beats_.end()) found->second = network_.loop().now();
}

void AdminServer::BeatWithLoop(const std::string& name) {
  AddHeartbeat(name);
  TurnBeat(name);
}

void AdminServer::TurnBeat(const std::string& name) {
  Beat(name);
  timers_[name] =
      network_.loop().At(network_.loop().now() + kBeatEvery, [this, name] { TurnBeat(name); });
}

void AdminServer::AddPage(const std::string& path, std::string about, Page page) {
  pages_[path] = {std::move(about), [page = std::move(page)] { return page() + "\n"; }};
}

std::string AdminServer::Readiness(bool* ready) const {
  std::string lines;
  *ready = !draining_;
  if (draining_) lines += "[-] not draining: the program is being stopped\n";
  for (const auto& [name, check] : checks_) {
    const absl::Status status = check();
    *ready = *ready && status.ok();
    absl::StrAppend(&lines, status.ok() ? "[+] " : "[-] ", name);
    if (!status.ok()) absl::StrAppend(&lines, ": ", std::string(status.message()));
    lines += "\n";
  }
  return lines;
}

std::string AdminServer::Liveness(bool* live) const {
  std::string lines;
  *live = true;
  for (const auto& [name, beat] : beats_) {
    const Duration age = network_.loop().now() - beat;
    const bool alive = age <= kBeatLongest;
    *live = *live && alive;
    absl::StrAppend(&lines, alive ? "[+] " : "[-] ", name);
    if (!alive) absl::StrAppend(&lines, ": silent for ", Milliseconds(age), " ms");
    lines += "\n";
  }
  return lines;
}

bool AdminServer::KnowsHost(std::string_view host, std::string_view local) const {
  const std::string name = HostOf(host);
  const auto is = [&name](const std::string& known) { return absl::EqualsIgnoreCase(name, known); };
  const bool loopback =
      absl::StartsWith(name, "127.") && name.find_first_not_of("0123456789.") == std::string::npos;
  if (loopback || is("localhost") || is("::1") || is(HostOf(local))) return true;
  return std::any_of(options_.admin_hosts.begin(), options_.admin_hosts.end(), is);
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const auto bad = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", std::string(text), "\" is not an address (such as 127.0.0.1:8080 or [::]:8080)"));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  const absl::StatusOr<int64_t> port = ParseInteger(text.substr(colon + 1));
  if (!port.ok() || *port < 0 || *port > 65535) return bad();
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') != host.ends_with(']') || host == "[]") return bad();
  if (host.starts_with('[')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad();
  }
  return HostPort{host.empty() ? "0.0.0.0" : std::string(host), static_cast<uint16_t>(*port)};
}

std::string JsonText(std::string_view text) {
  return boost::json::serialize(boost::json::string(text));
}

}  // namespace rouse::app
