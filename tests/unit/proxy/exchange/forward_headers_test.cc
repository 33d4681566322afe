#include "proxy/exchange/forward_headers.h"

#include "common/net/tls_peer.h"
#include "tests/unit/proxy/exchange/heads.h"

namespace rouse::proxy {
namespace {

using testing::FieldOf;
using testing::ParsedRequest;
using testing::ParsedResponse;
using testing::Written;

const http::PeerInfo kPeer{.address = "192.0.2.7", .port = 5, .local_port = 8080, .tls = false};

std::string Forwarded(const ParsedRequest& request, const ForwardPolicy& policy = {},
                      const http::PeerInfo& peer = kPeer, RemainingTime remaining = {}) {
  ValueStore values;
  http::HeadPatch patch;
  PatchRequest(request.head, peer, policy, "id-1", remaining, values, patch);
  return Written(request.head, patch);
}

struct Row {
  const char* rule;
  const char* fields;
  const char* name;
  const char* untrusted;  ///< what the pod sees where no hop is trusted
  const char* trusted;    ///< and with one trusted hop
};

TEST_CASE("values that are done with make room, and one that is kept stays as it was") {
  ValueStore values;
  std::string_view id = values.Copy(std::string(100, 'i'));
  for (int i = 0; i < 100; ++i) (void)values.Copy(std::string(50, 'x'));
  id = values.ClearBut(id);
  CHECK(id == std::string(100, 'i'));
  CHECK(values.Take(50) == id.data() + id.size());
}

TEST_CASE("each field is forwarded, dropped or replaced as its rule says") {
  const Row rows[] = {
      {"K01, RFC 9110 7.6.1", "Connection: keep-alive\r\n", "connection", "", ""},
      {"K01", "Keep-Alive: timeout=5\r\n", "keep-alive", "", ""},
      {"K01", "Proxy-Connection: x\r\n", "proxy-connection", "", ""},
      {"K01, RFC 9110 10.1.4", "TE: gzip\r\n", "te", "", ""},
      {"K01, RFC 9110 10.1.4", "TE: trailers\r\nConnection: te\r\n", "te", "trailers", "trailers"},
      {"K01", "Proxy-Authorization: b\r\n", "proxy-authorization", "", ""},
      {"K01, RFC 7540 3.2.1", "HTTP2-Settings: b\r\n", "http2-settings", "", ""},
      {"K02", "Connection: x-hop, close\r\nX-Hop: 1\r\n", "x-hop", "", ""},
      {"K02, without case", "Connection: X-HOP\r\nx-hop: 1\r\n", "x-hop", "", ""},
      {"K02, a known field", "Connection: cookie\r\nCookie: a=b\r\n", "cookie", "", ""},
      {"K05", "X-Forwarded-For: 6.6.6.6\r\n", "x-forwarded-for", "192.0.2.7", "6.6.6.6, 192.0.2.7"},
      {"K05", "X-Forwarded-Proto: https\r\n", "x-forwarded-proto", "http", "https"},
      {"K05", "X-Forwarded-Host: evil\r\n", "x-forwarded-host", "fn.example", "evil"},
      {"K05", "X-Forwarded-Port: 1\r\n", "x-forwarded-port", "8080", "1"},
      {"K05, RFC 7239", "Forwarded: for=6.6.6.6\r\n", "forwarded",
       "for=192.0.2.7;host=fn.example;proto=http",
       "for=6.6.6.6, for=192.0.2.7;host=fn.example;proto=http"},
      {"K05", "X-Real-IP: 6.6.6.6\r\n", "x-real-ip", "", "6.6.6.6"},
      {"K05", "X-Original-URL: /admin\r\n", "x-original-url", "", "/admin"},
      {"K05", "X-Rewrite-URL: /admin\r\n", "x-rewrite-url", "", "/admin"},
      {"K05", "X-Envoy-Internal: true\r\n", "x-envoy-internal", "", "true"},
      {"who a client is by its certificate", "X-Forwarded-Client-Cert: Hash=1\r\n",
       "x-forwarded-client-cert", "", "Hash=1"},
      {"a deadline goes on as what is left of it", "X-Envoy-Expected-Rq-Timeout-Ms: 5\r\n",
       "x-envoy-expected-rq-timeout-ms", "", ""},
      {"K05", "X-Rouse-Anything: 1\r\n", "x-rouse-anything", "", ""},
      {"K06, several lines", "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n",
       "x-forwarded-for", "192.0.2.7", "1.1.1.1, 2.2.2.2, 192.0.2.7"},
      {"K06, malformed ends the chain", "X-Forwarded-For: 1.1.1.1, <b>, 2.2.2.2\r\n",
       "x-forwarded-for", "192.0.2.7", "2.2.2.2, 192.0.2.7"},
      {"K07, RFC 9110 7.6.3", "Via: 1.0 other\r\n", "via", "1.0 other, 1.1 rouse",
       "1.0 other, 1.1 rouse"},
      {"K08", "X-Request-Id: theirs\r\n", "x-request-id", "id-1", "id-1"},
      {"N11", "X_Foo: 1\r\n", "x_foo", "", ""},
      {"N12, httpoxy", "Proxy: http://evil\r\n", "proxy", "", ""},
      {"X01", "Expect: 100-continue\r\nContent-Length: 0\r\n", "expect", "", ""},
      {"RFC 9110 7.6.1", "X-End-To-End: 1\r\n", "x-end-to-end", "1", "1"},
      {"W3C trace context", "traceparent: 00-a-b-01\r\n", "traceparent", "00-a-b-01", "00-a-b-01"},
      {"several lines stay", "Cookie: a\r\nCookie: b\r\n", "cookie", "a|b", "a|b"},
  };
  ForwardPolicy trusting;
  trusting.trusted_hops = 1;
  for (const Row& row : rows) {
    INFO(row.rule << ": " << row.fields);
    const ParsedRequest request(row.fields);
    CHECK(FieldOf(Forwarded(request), row.name) == row.untrusted);
    CHECK(FieldOf(Forwarded(request, trusting), row.name) == row.trusted);
  }
}

TEST_CASE("names with underscores pass only where told, and never as a field that decides") {
  ForwardPolicy pass;
  pass.underscores = Underscores::kPass;
  CHECK(FieldOf(Forwarded(ParsedRequest("My_Field: 1\r\n"), pass), "my_field") == "1");
  for (const char* name :
       {"Content_Length", "Transfer_Encoding", "X_Forwarded_For", "X_Rouse_Wake"}) {
    const ParsedRequest request(std::string(name) + ": 1\r\n");
    CHECK(FieldOf(Forwarded(request, pass), name).empty());
  }
  ForwardPolicy reject;
  reject.underscores = Underscores::kReject;
  CHECK(MayForward(ParsedRequest("My_Field: 1\r\n").head, reject).kind == ErrorKind::kBadRequest);
  CHECK(MayForward(ParsedRequest("My-Field: 1\r\n").head, reject).ok());
}

TEST_CASE("a request that carries our name twice in Via has looped") {
  CHECK(MayForward(ParsedRequest("Via: 1.1 rouse\r\n").head, {}).ok());
  CHECK(MayForward(ParsedRequest("Via: 1.1 rouse, 1.1 rouses\r\n").head, {}).ok());
  for (const char* via : {"Via: 1.1 rouse, 1.0 x, 1.1 rouse\r\n",
                          "Via: 1.1 rouse\r\nVia: HTTP/1.1 rouse (comment)\r\n"})
    CHECK(MayForward(ParsedRequest(via).head, {}).kind == ErrorKind::kLoopDetected);
}

TEST_CASE("a long Connection list costs time in line with its length") {
  std::string list;
  for (int i = 0; i < 900; ++i) list += "x-" + std::to_string(i) + ",";
  const ParsedRequest request("Connection: " + list +
                              "x-keep\r\nX-7: a\r\nX-Keep: b\r\nX-Other: c\r\n");
  const std::string sent = Forwarded(request);
  CHECK(FieldOf(sent, "x-7").empty());
  CHECK(FieldOf(sent, "x-keep").empty());
  CHECK(FieldOf(sent, "x-other") == "c");
}

TEST_CASE("IPv6 clients and ports are quoted in Forwarded") {
  const http::PeerInfo peer{.address = "2001:db8::1", .port = 1, .local_port = 443, .tls = true};
  ParsedRequest request("");
  request.head.authority = "fn.example:8443";
  const std::string sent = Forwarded(request, {}, peer);
  CHECK(FieldOf(sent, "forwarded") == "for=\"[2001:db8::1]\";host=\"fn.example:8443\";proto=http");
  CHECK(FieldOf(sent, "x-forwarded-port") == "443");
}

TEST_CASE("a request id is kept from trusted peers where it is valid, else made") {
  Random random(1);
  ForwardPolicy trusting;
  trusting.trusted_hops = 1;
  ValueStore values;
  const ParsedRequest good("X-Request-Id: abc.DEF_1-2\r\n");
  CHECK(RequestIdOf(good.head, trusting, random, values) == "abc.DEF_1-2");
  const std::string_view made = RequestIdOf(good.head, {}, random, values);
  CHECK(made.size() == 32);
  CHECK(made.find_first_not_of("0123456789abcdef") == std::string_view::npos);
  CHECK(RequestIdOf(good.head, {}, random, values) != made);
  const ParsedRequest bad("X-Request-Id: a b\"c\r\n");
  CHECK(RequestIdOf(bad.head, trusting, random, values).size() == 32);
  const ParsedRequest endless("X-Request-Id: " + std::string(129, 'a') + "\r\n");
  CHECK(RequestIdOf(endless.head, trusting, random, values).size() == 32);
}

TEST_CASE("the client's address is the trusted hops' entry from the right") {
  const ParsedRequest request("X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-For: 3.3.3.3\r\n");
  const char* const expected[] = {"192.0.2.7", "3.3.3.3", "2.2.2.2", "1.1.1.1", "1.1.1.1"};
  for (uint32_t hops = 0; hops < 5; ++hops) {
    ForwardPolicy policy;
    policy.trusted_hops = hops;
    CHECK(ClientAddressOf(request.head, kPeer, policy) == expected[hops]);
  }
}

TEST_CASE("what is left of the client's deadlines is forwarded in its own form") {
  using std::chrono::milliseconds;
  const ParsedRequest request("grpc-timeout: 9S\r\nX-Request-Timeout: 9s\r\n");
  const std::string sent =
      Forwarded(request, {}, kPeer, {.grpc = milliseconds(1500), .request = milliseconds(700)});
  CHECK(FieldOf(sent, "grpc-timeout") == "1500000u");
  CHECK(FieldOf(sent, "x-request-timeout") == "700ms");
  CHECK(FieldOf(Forwarded(request), "grpc-timeout").empty());
  ValueStore values;
  CHECK(GrpcTimeoutText(std::chrono::hours(1), values) == "3600000m");
  CHECK(GrpcTimeoutText(std::chrono::hours(1000), values) == "3600000S");
  CHECK(GrpcTimeoutText(Duration(1), values) == "1u");
}

TEST_CASE("a client's certificate is told by us; a trusted proxy's word of another stands before") {
  net::TlsPeer tls;
  tls.client_certificate = "Hash=ours";
  http::PeerInfo peer = kPeer;
  peer.tls = true;
  peer.tls_peer = &tls;
  const ParsedRequest request("X-Forwarded-Client-Cert: Hash=theirs\r\n");
  const auto told = [&](const ForwardPolicy& policy) {
    return FieldOf(Forwarded(request, policy, peer), "x-forwarded-client-cert");
  };
  CHECK(told({}) == "Hash=ours");
  CHECK(told({.trusted_hops = 1}) == "Hash=theirs, Hash=ours");
  tls.client_certificate.clear();
  CHECK(told({}).empty());
}

TEST_CASE("what is left of Envoy's timeout is told in its own field") {
  const ParsedRequest request("");
  const std::string text =
      Forwarded(request, {.trusted_hops = 1}, kPeer, {.envoy = std::chrono::milliseconds(1500)});
  CHECK(FieldOf(text, "x-envoy-expected-rq-timeout-ms") == "1500");
}

TEST_CASE("responses lose what belongs to the hop, and what only we may say") {
  const ParsedResponse response(
      "Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: t\r\nProxy-Authenticate: b\r\nUpgrade: h2c\r\n"
      "x-rouse-error: forged\r\nX-Request-Id: forged\r\nVia: 1.1 pod\r\nX-Mine: 1\r\n");
  ValueStore values;
  http::HeadPatch patch;
  PatchResponse(response.head, {}, "id-1", values, patch);
  const std::string sent = Written(response.head, patch);
  for (const char* gone : {"x-hop", "keep-alive", "proxy-authenticate", "upgrade", "x-rouse-error"})
    CHECK(FieldOf(sent, gone).empty());
  CHECK(FieldOf(sent, "x-request-id") == "id-1");
  CHECK(FieldOf(sent, "via") == "1.1 pod, 1.1 rouse");
  CHECK(FieldOf(sent, "x-mine") == "1");
}

TEST_CASE("a field that we do not add ends here, whoever sent it") {
  ForwardPolicy policy{.adds = http::BitOf(http::HeaderId::kXForwardedFor)};
  const ParsedRequest request(
      "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: theirs\r\n"
      "X-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\nVia: 1.0 other\r\nX-Request-Id: mine\r\n");
  for (const uint32_t hops : {0, 1}) {
    policy.trusted_hops = hops;
    const std::string sent = Forwarded(request, policy);
    CHECK(FieldOf(sent, "x-forwarded-for") == (hops == 0 ? "192.0.2.7" : "6.6.6.6, 192.0.2.7"));
    for (const http::HeaderId id : kForwardFields)
      if (id != http::HeaderId::kXForwardedFor) CHECK(FieldOf(sent, http::NameOf(id)).empty());
  }
  const ParsedResponse response("Via: 1.1 pod\r\nX-Request-Id: theirs\r\n");
  ValueStore values;
  http::HeadPatch patch;
  PatchResponse(response.head, policy, "id-1", values, patch);
  const std::string answered = Written(response.head, patch);
  CHECK(FieldOf(answered, "via").empty());
  CHECK(FieldOf(answered, "x-request-id").empty());
}

TEST_CASE("a value store keeps what it gave out, also beyond its inline room") {
  ValueStore values;
  std::vector<std::string_view> views;
  for (int i = 0; i < 100; ++i)
    views.push_back(values.Copy(std::string(50, static_cast<char>('a' + i % 26))));
  for (int i = 0; i < 100; ++i) CHECK(views[i] == std::string(50, static_cast<char>('a' + i % 26)));
  values.Clear();
  CHECK(values.Concat({"a", "", "b"}) == "ab");
}

}  // namespace
}  // namespace rouse::proxy
