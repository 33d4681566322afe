#include "k8s/credentials.h"

#include <cstdlib>
#include <fstream>

#include <absl/strings/ascii.h>

#include "k8s/objects/policy_values.h"

namespace rouse::k8s {
namespace {

constexpr const char* kAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount/";

std::string Trimmed(const std::string& text) {
  return std::string(absl::StripAsciiWhitespace(text));
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError("cannot read " + path);
  std::string text(credential_file_bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad()) return absl::UnavailableError("cannot read " + path);
  const size_t size = static_cast<size_t>(file.gcount());
  if (size > credential_file_bytes_max) return absl::ResourceExhaustedError(path + " is too large");
  text.resize(size);
  return text;
}

absl::Status ReadSmallFiles(std::initializer_list<FileInto> files) {
  for (const auto& [path, into] : files) {
    if (path.empty()) continue;
    absl::StatusOr<std::string> text = ReadSmallFile(std::string(path));
    if (!text.ok()) return text.status();
    into = *std::move(text);
  }
  return absl::OkStatus();
}

std::optional<std::string> ReadEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

absl::StatusOr<ClusterAccess> InClusterAccess(const Environment& environment,
                                              const FileReader& read) {
  const std::string host = environment("KUBERNETES_SERVICE_HOST").value_or("");
  const std::string port = environment("KUBERNETES_SERVICE_PORT").value_or("443");
  if (host.empty()) {
    return absl::FailedPreconditionError("not in a cluster: KUBERNETES_SERVICE_HOST is not set");
  }
  const std::optional<int64_t> number = ParseWholeNumber(port);
  if (!number || *number < 1 || *number > 65535) {
    return absl::InvalidArgumentError("KUBERNETES_SERVICE_PORT is not a port: " + port);
  }
  const std::string folder = kAccountFolder;
  ClusterAccess access;
  access.origin.host = host;
  if (host.front() == '[' && host.back() == ']')
    access.origin.host = host.substr(1, host.size() - 2);
  access.origin.port = static_cast<uint16_t>(*number);
  access.origin.tls.emplace();
  // The address is in the certificate too, but not on every provider; this name always is.
  access.origin.tls->server_name = "kubernetes.default.svc";
  access.ca_file = folder + "ca.crt";
  access.token_file = folder + "token";
  const absl::StatusOr<std::string> ca = read(access.ca_file);
  if (!ca.ok()) return ca.status();
  access.origin.tls->ca_pem = *ca;
  const absl::StatusOr<std::string> token = read(access.token_file);
  if (!token.ok()) return token.status();
  access.token = Trimmed(*token);
  const absl::StatusOr<std::string> ns = read(folder + "namespace");
  if (ns.ok() && !Trimmed(*ns).empty()) access.ns = Trimmed(*ns);
  return access;
}

Credentials::Credentials(const Clock& clock, ClusterAccess access, FileReader read)
    : clock_(clock), access_(std::move(access)), read_(std::move(read)), read_at_(clock.now()) {
  Refresh();
  tls_generation_ = 1;
}

void Credentials::RefreshIfDue() {
  if (clock_.now() - read_at_ >= (doubted_ ? kRefreshDoubtedEvery : kRefreshEvery)) Refresh();
}

bool Credentials::Refresh() {
  read_at_ = clock_.now();
  doubted_ = false;
  last_error_ = absl::OkStatus();
  const bool token_changed = ReadInto(access_.token_file, access_.token);
  access_.token = Trimmed(access_.token);
  bool tls_changed = false;
  if (access_.origin.tls) {
    control::ClientTls& tls = *access_.origin.tls;
    tls_changed = ReadInto(access_.ca_file, tls.ca_pem);
    // Rotated one after the other, certificate and key may not fit for a moment; the next reading
    // mends it.
    tls_changed = ReadInto(access_.certificate_file, tls.certificate_pem) || tls_changed;
    tls_changed = ReadInto(access_.key_file, tls.key_pem) || tls_changed;
  }
  if (tls_changed) ++tls_generation_;
  return token_changed || tls_changed;
}

void Credentials::UsePlugin(std::unique_ptr<ExecCredentials> runs) {
  runs_ = std::move(runs);
  runs_->OnCredential([this](ExecCredential given) { Adopt(std::move(given)); });
}

bool Credentials::Renew(const CredentialWait& wait) {
  if (!runs_) {
    Refresh();
    return false;
  }
  runs_->Renew(wait);
  return true;
}

void Credentials::Adopt(ExecCredential given) {
  ++plugin_generation_;
  access_.token = std::move(given.token);
  if (!access_.origin.tls) return;
  control::ClientTls& tls = *access_.origin.tls;
  if (tls.certificate_pem == given.certificate_pem && tls.key_pem == given.key_pem) return;
  tls.certificate_pem = std::move(given.certificate_pem);
  tls.key_pem = std::move(given.key_pem);
  ++tls_generation_;
}

bool Credentials::ReadInto(const std::string& path, std::string& value) {
  if (path.empty()) return false;
  absl::StatusOr<std::string> text = read_(path);
  if (!text.ok() || Trimmed(*text).empty()) {
    last_error_ = text.ok() ? absl::UnavailableError(path + " is empty") : text.status();
    return false;
  }
  if (Trimmed(*text) == Trimmed(value)) return false;
  value = *std::move(text);
  return true;
}

std::optional<control::Header> Credentials::authorization() const {
  if (access_.token.empty()) return std::nullopt;
  return control::Header{"Authorization", "Bearer " + access_.token};
}

}  // namespace rouse::k8s
