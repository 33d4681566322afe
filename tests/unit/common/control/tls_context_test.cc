#include "common/control/tls_context.h"

#include <catch2/catch.hpp>

#include "tests/support/control/on_loopback.h"
#include "tests/support/control/test_certificates.h"

namespace rouse::control {
namespace {

struct Secure : OnLoopback {
  ScriptedService service;
  std::unique_ptr<HttpListener> listener;

  Secure() {
    service.on_request = [](ScriptedService::Taken taken) {
      taken.responder->Respond(200, {}, "hello " + taken.request.client_subject);
    };
    ListenOptions options;
    options.head_timeout = std::chrono::milliseconds(200);
    options.tls = ServerTls{kServerCertificate, kServerKey, kTestAuthority};
    listener = Listen(service, options);
  }

  /// Listens anew, for clients whose certificates `client_ca` has signed.
  void Trust(const char* client_ca) {
    ListenOptions options;
    options.tls = ServerTls{kServerCertificate, kServerKey, client_ca};
    listener = Listen(service, options);
  }

  void Call(ClientTls tls, Recorder& call, const std::string& host = "127.0.0.1") {
    Origin origin = At(listener->port());
    origin.host = host;
    origin.tls = std::move(tls);
    const auto client = network->NewClient(origin);
    const auto handle = client->Start({}, call.Handlers());
    REQUIRE(Until([&] { return call.ended(); }));
  }
};

/// What a client that shows a certificate of its own calls with.
ClientTls Showing(const char* certificate, const char* key) {
  ClientTls tls;
  tls.ca_pem = kTestAuthority;
  tls.certificate_pem = certificate;
  tls.key_pem = key;
  return tls;
}

TEST_CASE("a call over TLS is answered when the authority and the name are right") {
  Secure secure;
  ClientTls tls;
  tls.ca_pem = kTestAuthority;
  Recorder by_address;
  secure.Call(tls, by_address);
  CHECK(by_address.end.ok());
  CHECK(by_address.body == "hello ");
  Recorder by_name;
  secure.Call(tls, by_name, "localhost");
  CHECK(by_name.end.ok());
  tls.server_name = "api.test";
  Recorder by_other_name;
  secure.Call(tls, by_other_name);
  CHECK(by_other_name.end.ok());
}

TEST_CASE("a listener takes over new certificates, and keeps the old one where they are no good") {
  Secure secure;
  absl::StatusOr<ServerTls> given = ServerTls{kServerCertificate, kServerKey, ""};
  ListenOptions options;
  options.tls = *given;
  options.tls_again = [&given] { return given; };
  options.tls_again_after = Duration::zero();
  secure.listener = secure.Listen(secure.service, options);
  const auto end = [&secure] {
    ClientTls tls;
    tls.ca_pem = kTestAuthority;
    Recorder call;
    secure.Call(tls, call);
    return call.end;
  };
  CHECK(end().ok());
  given = ServerTls{kClientCertificate, kClientKey, ""};  // of another name
  CHECK_FALSE(end().ok());
  given = ServerTls{kServerCertificate, kServerKey, ""};
  CHECK(end().ok());
  given = ServerTls{kServerCertificate, kClientKey, ""};
  CHECK(end().ok());
  given = absl::NotFoundError("no file");
  CHECK(end().ok());
  CHECK(secure.Logged("certificate_refused") == 2);
}

TEST_CASE("a server that cannot prove its name is not spoken to") {
  Secure secure;
  int asked = 0;
  secure.service.on_request = [&](ScriptedService::Taken) { ++asked; };
  Recorder wrong_authority;
  ClientTls tls;
  tls.ca_pem = kOtherAuthority;
  secure.Call(tls, wrong_authority);
  CHECK(absl::IsUnavailable(wrong_authority.end));
  Recorder wrong_name;
  tls.ca_pem = kTestAuthority;
  tls.server_name = "kubernetes.default.svc";
  secure.Call(tls, wrong_name);
  CHECK(wrong_name.end.message().find("hostname mismatch") != absl::string_view::npos);
  Recorder wrong_address;
  tls.server_name = "127.0.0.2";
  secure.Call(tls, wrong_address);
  CHECK(wrong_address.end.message().find("IP address mismatch") != absl::string_view::npos);
  Recorder system_roots;
  secure.Call({}, system_roots);
  CHECK(absl::IsUnavailable(system_roots.end));
  CHECK(asked == 0);
  secure.service.on_request = [](ScriptedService::Taken taken) {
    taken.responder->Respond(200, {}, "x");
  };
  Recorder unverified;
  tls = {};
  tls.verify = false;
  secure.Call(tls, unverified);
  CHECK(unverified.end.ok());
}

TEST_CASE("a client's certificate reaches the service as its subject, once verified") {
  Secure secure;
  const ClientTls tls = Showing(kClientCertificate, kClientKey);
  Recorder call;
  secure.Call(tls, call);
  CHECK(call.body == "hello CN=rouse test client,O=rouse");

  // One that the server's roots do not know.
  secure.Trust(kOtherAuthority);
  Recorder refused;
  secure.Call(tls, refused);
  CHECK(absl::IsUnavailable(refused.end));
}

TEST_CASE("a client's certificate without a subject reaches the service by its other name") {
  Secure secure;
  secure.Trust(kNamelessAuthority);
  Recorder call;
  secure.Call(Showing(kNamelessClient, kNamelessKey), call);
  CHECK(call.body == "hello URI:spiffe://test/proxy");
}

TEST_CASE("large bodies and messages pass over TLS") {
  struct Echo final : ScriptedService {
    std::unique_ptr<MessageChannel> channel;
    int AcceptMessages(const IncomingRequest&) override { return 0; }
    void OnMessages(IncomingRequest, std::unique_ptr<MessageChannel> opened,
                    absl::AnyInvocable<void(MessageHandlers)> set_handlers) override {
      channel = std::move(opened);
      MessageHandlers handlers;
      handlers.on_message = [this](std::string_view message, bool binary) {
        CHECK(channel->Send(std::string(message), binary).ok());
      };
      set_handlers(std::move(handlers));
    }
  };
  Secure secure;
  Echo echo;
  echo.on_request = [](ScriptedService::Taken taken) {
    taken.responder->Respond(200, {}, taken.request.body);
  };
  ListenOptions options;
  options.tls = ServerTls{kServerCertificate, kServerKey, {}};
  secure.listener = secure.Listen(echo, options);
  Origin origin = OnLoopback::At(secure.listener->port());
  origin.tls.emplace();
  origin.tls->ca_pem = kTestAuthority;
  const auto client = secure.network->NewClient(origin);
  Recorder call;
  HttpRequest request;
  request.method = "POST";
  request.body = std::string(3 << 20, 'b');
  const auto handle = client->Start(request, call.Handlers());
  REQUIRE(secure.Until([&] { return call.ended(); }));
  CHECK(call.body == request.body);

  ChannelRecorder seen;
  const auto channel = secure.network->Dial(origin, "/", {}, {}, seen.Handlers());
  REQUIRE(secure.Until([&] { return seen.opens == 1; }));
  CHECK(channel->Send(std::string(1 << 20, 'm'), true).ok());
  REQUIRE(secure.Until([&] { return seen.messages.size() == 1; }));
  CHECK(seen.messages[0].size() == 1 << 20);
  channel->Close(1000, "");
  REQUIRE(secure.Until([&] { return seen.closes == 1; }));
  CHECK(seen.close.ok());
}

TEST_CASE("a peer that does not shake hands is given up, and plain text is not answered") {
  Secure secure;
  RawSocket silent = RawSocket::Connect(secure.listener->port());
  RawSocket plain = RawSocket::Connect(secure.listener->port());
  plain.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(secure.Until([&] { return silent.Ended() && plain.Ended(); }));
  CHECK(plain.Received().find("HTTP/1.1") == std::string::npos);

  uint16_t port = 0;
  RawSocket listening = RawSocket::Listen(&port);
  Origin origin = OnLoopback::At(port);
  origin.tls.emplace();
  const auto client = secure.network->NewClient(origin);
  HttpRequest request;
  request.limits.connect_timeout = std::chrono::milliseconds(50);
  Recorder call;
  const auto handle = client->Start(request, call.Handlers());
  REQUIRE(secure.Until([&] { return call.ended(); }));
  CHECK(absl::IsDeadlineExceeded(call.end));
}

TEST_CASE("material that cannot be used is named") {
  Secure secure;
  ListenOptions options;
  options.tls = ServerTls{kServerCertificate, kClientKey, {}};
  CHECK(secure.network->Listen(options, secure.service).status().message().find("key") !=
        absl::string_view::npos);
  options.tls = ServerTls{"nonsense", kServerKey, {}};
  CHECK(absl::IsInvalidArgument(secure.network->Listen(options, secure.service).status()));
  Recorder call;
  ClientTls tls;
  tls.ca_pem = "nonsense";
  secure.Call(tls, call);
  CHECK(absl::IsInvalidArgument(call.end));
  CHECK(call.end.message().find("authority") != absl::string_view::npos);
}

}  // namespace
}  // namespace rouse::control
