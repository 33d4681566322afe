// What a server's stream holds while its exchange waits for a pod, and how it goes on.

#include <catch2/catch.hpp>

#include "common/http/h1_server_stream.h"
#include "tests/unit/common/http/h1_server_rig.h"

namespace rouse::http::testing {
namespace {

std::string Get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n"; }

std::string Ok(const std::string& body) {
  return "HTTP/1.1 200 OK\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST_CASE("a parked request holds its head and no buffer") {
  ServerRig rig;
  const std::string message =
      "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nX-A: b\r\n\r\nbody";
  CHECK(rig.Ask(message).empty());
  CHECK(rig.shard().buffers().loaned_bytes() == 0);
  CHECK(rig.parked_bytes() < 4096 + message.size());
  rig.OpenGate();
  CHECK(rig.Take() == Ok("held h b body"));
  CHECK(rig.Ask(Get("/a")) == Ok("GET /a "));

  ServerRig pipelined;
  pipelined.Send(Get("/hold") + Get("/next"));
  CHECK(pipelined.shard().buffers().loaned_bytes() == 0);
  pipelined.OpenGate();
  CHECK(pipelined.Take() == Ok("held h  ") + Ok("GET /next "));
}

TEST_CASE("a body that an earlier attempt began to read goes on after parking") {
  const std::string head = "POST /hold/begun HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n";
  ServerRig framing;  // half a chunk's size has been read, and none of its bytes
  CHECK(framing.Ask(head + "\r\n" + "5").empty());
  CHECK(framing.shard().buffers().loaned_bytes() == 0);
  framing.Send("\r\nhello\r\n0\r\n\r\n");
  framing.OpenGate();
  CHECK(framing.Take() == Ok("held h  hello"));

  ServerRig expects;  // it has been told to go on, which is said once
  CHECK(expects.Ask(head + "Expect: 100-continue\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  expects.Send("5\r\nhello\r\n0\r\n\r\n");
  expects.OpenGate();
  CHECK(expects.Take() == Ok("held h  hello"));
}

}  // namespace
}  // namespace rouse::http::testing
