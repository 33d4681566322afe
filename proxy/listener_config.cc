#include "proxy/listener_config.h"

#include <algorithm>
#include <utility>

#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>

#include "common/app/values.h"
#include "common/net/address_ranges.h"
#include "common/net/socket_address.h"

namespace rouse::proxy {
namespace {

using app::ConfigNode;

const std::vector<std::string> kAuths = {"none", "optional", "required"};
const std::vector<std::string> kProfiles = {"modern", "intermediate"};

absl::Status TakeText(const ConfigNode& node, std::string_view key, std::string* into) {
  const ConfigNode* const value = node.Find(key);
  if (value == nullptr) return absl::OkStatus();
  if (!value->is_scalar() || value->text.empty()) return value->Error("expected a text");
  *into = value->text;
  return absl::OkStatus();
}

absl::Status TakeChoice(const ConfigNode& node, std::string_view key,
                        const std::vector<std::string>& choices, std::string* into) {
  const ConfigNode* const value = node.Find(key);
  if (value == nullptr) return absl::OkStatus();
  if (std::find(choices.begin(), choices.end(), value->text) != choices.end()) {
    *into = value->text;
    return absl::OkStatus();
  }
  const std::string nearest = app::Nearest(value->text, choices);
  return value->Error(absl::StrCat("'", value->text, "' is none of ", absl::StrJoin(choices, ", "),
                                   nearest.empty() ? "" : "; did you mean '" + nearest + "'?"));
}

absl::Status TakeCertificates(const ConfigNode& node, std::vector<CertificateFiles>* into) {
  if (!node.is_list() || node.items.empty()) return node.Error("expected a list of {cert, key}");
  for (const ConfigNode& item : node.items) {
    if (!item.is_map()) return item.Error("expected {cert: FILE, key: FILE}");
    if (const absl::Status keys = item.CheckKeys({"cert", "key", "staple"}); !keys.ok())
      return keys;
    CertificateFiles files;
    for (const absl::Status& status :
         {TakeText(item, "cert", &files.certificate), TakeText(item, "key", &files.key),
          TakeText(item, "staple", &files.staple)})
      if (!status.ok()) return status;
    if (files.certificate.empty() || files.key.empty())
      return item.Error("a certificate needs both cert and key");
    into->push_back(std::move(files));
  }
  return absl::OkStatus();
}

absl::Status TakeTls(const ConfigNode& node, TlsConfig* into) {
  if (!node.is_map()) return node.Error("expected {certificates: [{cert, key}]}");
  absl::Status keys = node.CheckKeys(
      {"certificates", "client_ca", "client_auth", "profile", "groups", "strict_names"});
  if (!keys.ok()) return keys;
  if (const ConfigNode* const list = node.Find("certificates"); list != nullptr) {
    into->certificates.clear();
    const absl::Status status = TakeCertificates(*list, &into->certificates);
    if (!status.ok()) return status;
  }
  for (const absl::Status& status :
       {TakeText(node, "client_ca", &into->client_ca), TakeText(node, "groups", &into->groups),
        TakeChoice(node, "client_auth", kAuths, &into->client_auth),
        TakeChoice(node, "profile", kProfiles, &into->profile)})
    if (!status.ok()) return status;
  if (const ConfigNode* const strict = node.Find("strict_names"); strict != nullptr) {
    const absl::StatusOr<bool> value = app::ParseBoolean(strict->text);
    if (!value.ok()) return strict->Error("expected true or false");
    into->strict_names = *value;
  }
  return absl::OkStatus();
}

absl::Status TakeProxies(const ConfigNode& node, std::vector<std::string>* into) {
  if (!node.is_list()) return node.Error("expected a list of ranges such as 10.0.0.0/8");
  into->clear();
  for (const ConfigNode& item : node.items) {
    if (!item.is_scalar() || !net::AddressRanges::Parse({item.text}).ok())
      return item.Error("'" + item.text + "' is no range of addresses");
    into->push_back(item.text);
  }
  return absl::OkStatus();
}

absl::Status TakeListener(const ConfigNode& node, ListenerConfig* into) {
  if (node.is_scalar()) {
    into->address = node.text;
    return absl::OkStatus();
  }
  if (!node.is_map()) return node.Error("expected {address: ADDRESS:PORT}");
  absl::Status keys = node.CheckKeys({"address", "tls", "https_redirect", "proxy_protocol_from"});
  if (!keys.ok()) return keys;
  const ConfigNode* const address = node.Find("address");
  if (address == nullptr || !address->is_scalar()) return node.Error("an address is missing");
  into->address = address->text;
  if (const ConfigNode* const tls = node.Find("tls"); tls != nullptr) {
    into->secure = true;
    if (const absl::Status status = TakeTls(*tls, &into->tls); !status.ok()) return status;
    if (into->tls.certificates.empty()) return tls->Error("certificates are missing");
  }
  if (const ConfigNode* const port = node.Find("https_redirect"); port != nullptr) {
    const absl::StatusOr<int64_t> value = app::ParseInteger(port->text);
    if (!value.ok() || *value < 0 || *value > 65535)
      return port->Error("expected the https port, 1 to 65535; 0: no redirect");
    into->redirect_port = static_cast<uint16_t>(*value);
  }
  if (const ConfigNode* const from = node.Find("proxy_protocol_from"); from != nullptr)
    return TakeProxies(*from, &into->proxies);
  return absl::OkStatus();
}

/// What an option and the file's key share.
ListenerConfig Plain(const ListenerOptions& options, const std::string& address) {
  return {.address = address,
          .secure = false,
          .tls = options.tls,
          .redirect_port = options.redirect_port,
          .proxies = options.proxies};
}

std::vector<std::string> AddressesOf(const std::vector<ListenerConfig>& listeners) {
  std::vector<std::string> addresses;
  addresses.reserve(listeners.size());
  for (const ListenerConfig& listener : listeners) addresses.push_back(listener.address);
  return addresses;
}

absl::StatusOr<CertificateFiles> ParseFiles(const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  const bool good = (parts.size() == 2 || parts.size() == 3) &&
                    std::none_of(parts.begin(), parts.end(),
                                 [](const std::string& part) { return part.empty(); });
  if (!good)
    return absl::InvalidArgumentError("tls-certificates: '" + text + "' is no CERT:KEY[:STAPLE]");
  return CertificateFiles{.certificate = parts[0],
                          .key = parts[1],
                          .staple = parts.size() == 3 ? parts[2] : std::string()};
}

}  // namespace

net::TlsServerPolicy TlsConfig::Policy(const std::string& address) const {
  net::TlsServerPolicy policy;
  policy.profile = profile == "modern" ? net::TlsProfile::kModern : net::TlsProfile::kIntermediate;
  if (client_auth == "optional") policy.client_auth = net::TlsClientAuth::kOptional;
  if (client_auth == "required") policy.client_auth = net::TlsClientAuth::kRequired;
  policy.groups = groups;
  policy.strict_names = strict_names;
  policy.scope = address;
  return policy;
}

void AddListenerOptions(app::Options& options, ListenerOptions& listeners) {
  TlsConfig& tls = listeners.tls;
  options.AddList("listen", &listeners.listen,
                  "Addresses on which requests are taken; [::] is every one of both families.");
  options.AddList("listen-tls", &listeners.listen_tls, "Addresses on which TLS is spoken.");
  options.AddList("tls-certificates", &listeners.certificates,
                  "CERT:KEY or CERT:KEY:STAPLE each: files (PEM; the staple DER) for listen-tls; "
                  "read again when they change.");
  options.AddChoice("tls-profile", &tls.profile, kProfiles,
                    "modern: TLS 1.3; intermediate: TLS 1.2 too, ECDHE with AEAD.");
  options.AddText("tls-groups", &tls.groups, "Key exchange groups, the best first.");
  options.AddBoolean("tls-strict-names", &tls.strict_names,
                     "Clients that name none of our names are refused; else they get the first "
                     "certificate.");
  options.AddText("tls-client-ca", &tls.client_ca,
                  "File of the authorities that sign clients' certificates.");
  options.AddChoice("tls-client-auth", &tls.client_auth, kAuths,
                    "Whether clients show a certificate.");
  options.AddText("tls-ticket-seed-file", &listeners.ticket_seed_file,
                  "File with 32 or more secret bytes: replicas that share it resume each other's "
                  "sessions.");
  options.AddDuration("tls-watch-interval", &listeners.watch_interval,
                      std::chrono::milliseconds(10), std::chrono::hours(1),
                      "How often certificate files are looked at.");
  options.AddDuration("handshake-timeout", &listeners.handshake_timeout,
                      std::chrono::milliseconds(10), std::chrono::hours(1),
                      "For a PROXY header and the TLS handshake together.");
  options.AddInteger("https-redirect", &listeners.redirect_port, 0, 65535,
                     "Port to which requests in the clear are sent by https; 0: they are served.");
  options.AddList("proxy-protocol-from", &listeners.proxies,
                  "Ranges of peers whose connections begin with a PROXY header (v1 or v2).");
}

absl::Status TakeListeners(const ConfigNode& node, ListenerOptions& listeners) {
  if (!node.is_list()) return node.Error("expected a list of {address: ADDRESS:PORT}");
  listeners.from_file.clear();
  for (const ConfigNode& item : node.items) {
    ListenerConfig listener = Plain(listeners, {});
    if (const absl::Status status = TakeListener(item, &listener); !status.ok()) return status;
    listeners.from_file.push_back(std::move(listener));
  }
  listeners.listen = AddressesOf(listeners.from_file);
  return absl::OkStatus();
}

std::vector<ListenerConfig> ListenersOf(const ListenerOptions& options) {
  std::vector<ListenerConfig> all;
  // A flag or the environment has said otherwise since the file was read.
  if (options.listen == AddressesOf(options.from_file))
    all = options.from_file;
  else
    for (const std::string& address : options.listen) all.push_back(Plain(options, address));
  for (const std::string& address : options.listen_tls) {
    ListenerConfig listener = Plain(options, address);
    listener.secure = true;
    listener.redirect_port = 0;
    for (const std::string& text : options.certificates)
      if (absl::StatusOr<CertificateFiles> files = ParseFiles(text); files.ok())
        listener.tls.certificates.push_back(*std::move(files));
    all.push_back(std::move(listener));
  }
  return all;
}

absl::Status CheckListeners(const ListenerOptions& options) {
  for (const std::string& text : options.certificates)
    if (const auto files = ParseFiles(text); !files.ok()) return files.status();
  if (const auto ranges = net::AddressRanges::Parse(options.proxies); !ranges.ok())
    return absl::InvalidArgumentError(
        absl::StrCat("proxy-protocol-from: ", ranges.status().message()));
  const std::vector<ListenerConfig> all = ListenersOf(options);
  if (all.empty()) return absl::InvalidArgumentError("listen: at least one address is needed");
  for (const ListenerConfig& listener : all) {
    if (!net::SocketAddress::Parse(listener.address))
      return absl::InvalidArgumentError("listen: '" + listener.address + "' is no ADDRESS:PORT");
    if (!listener.secure) continue;
    if (listener.tls.certificates.empty())
      return absl::InvalidArgumentError("listen-tls: " + listener.address +
                                        " needs tls-certificates");
    if (listener.tls.client_auth != "none" && listener.tls.client_ca.empty())
      return absl::InvalidArgumentError("tls-client-auth: " + listener.address +
                                        " needs tls-client-ca");
  }
  return absl::OkStatus();
}

}  // namespace rouse::proxy
