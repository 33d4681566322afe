#include <catch2/catch.hpp>

#include "tests/integration/proxy_rig.h"

namespace rouse::proxy::testing {
namespace {

// Rows of the project's table of hostile requests, end to end. Oracles: (O1) requests at the origin
// equal responses that are the origin's; (O2) the origin's own parser finds only canonical
// requests; (O3) after a refusal nothing more is answered; (O4) a request right afterwards gets its
// own answer; (O5) the verdict is the same byte by byte.

struct Row {
  const char* name;
  std::string bytes;
  int status;        ///< of the first answer
  size_t forwarded;  ///< requests that reach the origin
};

std::vector<Row> Rows() {
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  const std::string inner = "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n";
  const auto post = [](const std::string& fields, const std::string& body) {
    return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
  };
  return {
      {"CL.TE", post("Content-Length: 6\r\n" + chunked, "0\r\n\r\n" + inner), 400, 0},
      {"TE.CL", post(chunked + "Content-Length: 4\r\n", "5c\r\n" + inner + "0\r\n\r\n"), 400, 0},
      {"two lengths", post("Content-Length: 0\r\nContent-Length: 5\r\n", inner), 400, 0},
      {"signed length", post("Content-Length: +5\r\n", "hello"), 400, 0},
      {"space before the colon", post("Content-Length : 5\r\n", "hello"), 400, 0},
      {"chunked, gzip", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 400, 0},
      {"folded", post("X: y\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400, 0},
      {"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400, 0},
      {"LF hides a field", "GET / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n",
       400, 0},
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400, 0},
      {"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, 0},
      {"absolute form against Host", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, 0},
      {"climbs above the root", "GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", 400, 0},
      {"HTTP/0.9", "GET /\r\n", 400, 0},
      {"a preface that is none", "PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n", 400, 0},
      {"HTTP/9.9", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505, 0},
      {"unknown expectation", post("Expect: foo\r\nContent-Length: 1\r\n", "x"), 417, 0},
      {"TE on HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\n" + chunked + "\r\n0\r\n\r\n", 400, 0},
      {"a body with Upgrade",
       "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
       "Sec-WebSocket-Version: 13\r\nContent-Length: 5\r\n\r\nhello",
       400, 0},
      {"101 fields",
       "GET / HTTP/1.1\r\nHost: a\r\n" +
           [] {
             std::string fields;
             for (int i = 0; i < 101; ++i) fields += "A" + std::to_string(i) + ": b\r\n";
             return fields;
           }() +
           "\r\n",
       431, 0},
      {"a long target", "GET /" + std::string(17000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, 0},
      {"chunk size 0x1", post(chunked, "0x1\r\na\r\n0\r\n\r\n"), 400, 0},
      {"chunk spill", post(chunked, "1\r\nabc\r\n0\r\n\r\n"), 400, 0},
      {"CL.0", post("Content-Length: 0\r\n", inner), 200, 2},
      {"chunked upper case", post("Transfer-Encoding: CHUNKED\r\n", "1\r\na\r\n0\r\n\r\n"), 200, 1},
      {"absolute form", "GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n", 200, 1},
      {"lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", 200, 1},
      {"a double slash stays a path", "GET //evil/x HTTP/1.1\r\nHost: a\r\n\r\n", 200, 1},
  };
}

void Judge(const Row& row, bool slowly) {
  INFO(row.name << (slowly ? ", byte by byte" : ", whole"));
  DataPlaneOptions options = ProxyRig::Defaults();
  options.sessions.http1.linger_timeout = std::chrono::milliseconds(20);
  ProxyRig rig(options);
  WireClient& client = rig.Connect();
  const bool refused = row.status >= 400;
  const std::string more = refused ? Get("/after") : std::string();
  slowly ? client.SendSlowly(row.bytes + more) : client.Send(row.bytes + more);
  REQUIRE(rig.RunUntil([&] {
    return client.ended() || (!refused && client.responses() == row.forwarded && rig.Quiet());
  }));
  CHECK(client.received().starts_with("HTTP/1.1 " + std::to_string(row.status) + " "));
  CHECK(rig.upstream().requests().size() == row.forwarded);
  CHECK(rig.upstream().malformed().empty());
  if (refused) {
    CHECK(client.responses() == 1);
    CHECK(Has(client.received(), "connection: close"));
  }
  const std::string probe = rig.Ask(Get("/probe"));
  CHECK(probe.ends_with("GET /probe HTTP/1.1"));
}

TEST_CASE("hostile requests are refused whole and byte by byte, and leave nothing behind") {
  for (const Row& row : Rows()) Judge(row, false);
}

TEST_CASE("hostile requests are judged the same however they arrive") {
  for (const Row& row : Rows())
    if (row.bytes.size() < 600) Judge(row, true);
}

}  // namespace
}  // namespace rouse::proxy::testing
