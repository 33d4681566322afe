#include "proxy/listener_config.h"

#include <catch2/catch.hpp>

namespace rouse::proxy {
namespace {

struct Outcome {
  ListenerOptions listeners;
  app::Parsed parsed;
};

/// Options from flags, with the file's `listeners` as it would be read.
Outcome Read(const std::string& yaml, const std::vector<std::string>& flags = {}) {
  Outcome outcome;
  app::Options options("test", "0", "test");
  AddListenerOptions(options, outcome.listeners);
  options.AddCheck([&] { return CheckListeners(outcome.listeners); });
  if (!yaml.empty()) {
    const auto root = app::ParseConfig(yaml, "file.yaml");
    REQUIRE(root.ok());
    const absl::Status status = TakeListeners(*root, outcome.listeners);
    if (!status.ok()) {
      outcome.parsed.err = std::string(status.message());
      return outcome;
    }
  }
  outcome.parsed = options.Parse(flags, {});
  return outcome;
}

TEST_CASE("a listener of the file says all that there is to say") {
  const Outcome read = Read(R"(
- {address: "127.0.0.1:80", https_redirect: 443}
- address: "127.0.0.1:443"
  proxy_protocol_from: [10.0.0.0/8]
  tls:
    certificates: [{cert: a.pem, key: a.key}, {cert: b.pem, key: b.key, staple: b.ocsp}]
    client_ca: ca.pem
    client_auth: required
    profile: modern
    strict_names: true
    groups: X25519
)");
  INFO(read.parsed.err);
  REQUIRE(read.parsed.run);
  const std::vector<ListenerConfig> all = ListenersOf(read.listeners);
  REQUIRE(all.size() == 2);
  CHECK_FALSE(all[0].secure);
  CHECK(all[0].redirect_port == 443);
  CHECK(all[1].secure);
  CHECK(all[1].proxies == std::vector<std::string>{"10.0.0.0/8"});
  REQUIRE(all[1].tls.certificates.size() == 2);
  CHECK(all[1].tls.certificates[1].staple == "b.ocsp");
  const net::TlsServerPolicy policy = all[1].tls.Policy(all[1].address);
  CHECK(policy.profile == net::TlsProfile::kModern);
  CHECK(policy.client_auth == net::TlsClientAuth::kRequired);
  CHECK(policy.strict_names);
  CHECK(policy.groups == "X25519");
  CHECK(policy.scope == "127.0.0.1:443");
}

TEST_CASE("options make listeners, and beat the file") {
  const std::vector<std::string> flags = {
      "--listen=127.0.0.1:81", "--listen-tls=127.0.0.1:444", "--tls-certificates=a.pem:a.key",
      "--https-redirect=444",  "--tls-client-auth=optional", "--tls-client-ca=ca.pem"};
  for (const char* yaml : {"", "- {address: '127.0.0.1:80'}"}) {
    const Outcome read = Read(yaml, flags);
    INFO(read.parsed.err);
    REQUIRE(read.parsed.run);
    const std::vector<ListenerConfig> all = ListenersOf(read.listeners);
    REQUIRE(all.size() == 2);
    CHECK(all[0].address == "127.0.0.1:81");
    CHECK(all[0].redirect_port == 444);
    CHECK(all[1].secure);
    CHECK(all[1].redirect_port == 0);
    REQUIRE(all[1].tls.certificates.size() == 1);
    CHECK(all[1].tls.certificates[0].key == "a.key");
    CHECK(all[1].tls.client_auth == "optional");
  }
}

TEST_CASE("a mistake is named with its line, and what was meant") {
  const auto error = [](const std::string& yaml, const std::vector<std::string>& flags = {}) {
    const Outcome read = Read(yaml, flags);
    CHECK_FALSE(read.parsed.run);
    return read.parsed.err;
  };
  const auto says = [](const std::string& text, std::string_view part) {
    INFO(text);
    return text.find(part) != std::string::npos;
  };
  CHECK(says(error("- address: '127.0.0.1:1'\n  tsl: {}\n"), "file.yaml:2"));
  CHECK(says(error("- address: '127.0.0.1:1'\n  tsl: {}\n"), "tls"));
  CHECK(says(error("- {address: '127.0.0.1:1', tls: {}}"), "certificates are missing"));
  CHECK(says(error("- {address: '127.0.0.1:1', tls: {certificates: [{cert: a}]}}"),
             "both cert and key"));
  CHECK(says(error("- {address: '127.0.0.1:1', tls: {profile: modrn}}"), "did you mean 'modern'"));
  CHECK(says(error("- {address: '127.0.0.1:1', https_redirect: 70000}"), "https port"));
  CHECK(
      says(error("- {address: '127.0.0.1:1', proxy_protocol_from: [10.0.0.0/99]}"), "10.0.0.0/99"));
  CHECK(says(error("- {address: nowhere}"), "nowhere"));
  CHECK(says(error("", {"--listen-tls=127.0.0.1:1"}), "needs tls-certificates"));
  CHECK(says(error("", {"--listen-tls=127.0.0.1:1", "--tls-certificates=a"}), "CERT:KEY"));
  CHECK(says(error("", {"--listen-tls=127.0.0.1:1", "--tls-certificates=a:b",
                        "--tls-client-auth=required"}),
             "needs tls-client-ca"));
  CHECK(says(error("", {"--proxy-protocol-from=x"}), "proxy-protocol-from"));
}

}  // namespace
}  // namespace rouse::proxy
