// The rows of security.md 2.3 against the running proxy: raw frames in, the fate of the connection
// or stream out, and what reached the pod.

#include <catch2/catch.hpp>

#include "tests/integration/proxy_h2_rig.h"

namespace rouse::proxy::testing {
namespace {

using namespace net::testing;          // NOLINT: frame names
using namespace std::string_literals;  // NOLINT: NUL in literals

/// What is to become of it. Codes are RFC 9113 section 7's.
struct Fate {
  std::vector<uint32_t> goaway = {};  ///< one of these, and the connection's end
  std::vector<uint32_t> reset = {};   ///< or one of these on the stream, the connection kept
  int status = 0;                     ///< or this answer
  bool served = false;                ///< or a 200 from the pod
};

struct Row {
  std::string name;
  std::string bytes;  ///< behind preface and settings
  Fate fate;
  size_t forwarded = 0;
};

constexpr uint32_t kProtocol = 1;
constexpr uint32_t kFlowControl = 3;
constexpr uint32_t kStreamClosed = 5;
constexpr uint32_t kFrameSize = 6;
constexpr uint32_t kCompression = 9;
constexpr uint32_t kCalm = 11;

Fate GoAwayWith(std::vector<uint32_t> codes) { return {.goaway = std::move(codes)}; }
Fate ResetWith(uint32_t code) { return {.reset = {code}}; }
Fate StatusOf(int status) { return {.status = status}; }
Fate Served() { return {.served = true}; }

std::string Head(const H2Fields& fields, bool end = true) {
  return H2Frame(kHeaders, static_cast<uint8_t>(kEndHeaders | (end ? kEndStream : 0)), 1,
                 Hpack(fields));
}
std::string With(std::string name, std::string value) {
  return Head(H2Get("/", {{std::move(name), std::move(value)}}));
}
std::string Instead(size_t which, std::string value) {
  H2Fields fields = H2Get();
  fields[which].second = std::move(value);
  return Head(fields);
}
std::string Without(size_t which) {
  H2Fields fields = H2Get();
  fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(which));
  return Head(fields);
}
std::string Times(size_t count, const std::string& bytes) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += bytes;
  return out;
}
std::string Connect(H2Fields more) {
  H2Fields fields = H2Get("/ws", std::move(more));
  fields[0].second = "CONNECT";
  return Head(fields, false);
}

std::vector<Row> ConnectionRows() {
  const std::string get = Head(H2Get());
  return {
      {"S02 33 settings", H2Frame(kSettings, 0, 0, Times(33, H2Setting(3, 1))),
       GoAwayWith({kCalm, kProtocol, 2})},
      {"S02 small max frame", H2Frame(kSettings, 0, 0, H2Setting(5, 100)), GoAwayWith({kProtocol})},
      {"S02 window over 2^31", H2Frame(kSettings, 0, 0, H2Setting(4, 0x80000000)),
       GoAwayWith({kFlowControl})},
      {"S02 push 2", H2Frame(kSettings, 0, 0, H2Setting(2, 2)), GoAwayWith({kProtocol})},
      {"S02 wrong length", H2Frame(kSettings, 0, 0, "abc"), GoAwayWith({kFrameSize})},
      {"S02 on a stream", H2Frame(kSettings, 0, 1, ""), GoAwayWith({kProtocol})},
      {"S02 ack with payload", H2Frame(kSettings, 1, 0, H2Setting(1, 1)), GoAwayWith({kFrameSize})},
      {"S02 flood", Times(2000, H2Frame(kSettings, 0, 0, "")), GoAwayWith({kCalm})},
      {"S04 ping flood", Times(5000, H2Frame(kPing, 0, 0, "12345678")), GoAwayWith({kCalm})},
      {"S04 ping of wrong length", H2Frame(kPing, 0, 0, "1234"), GoAwayWith({kFrameSize})},
      {"S04 ping on a stream", H2Frame(kPing, 0, 1, "12345678"), GoAwayWith({kProtocol})},
      {"S04 ping ack unasked", H2Frame(kPing, 1, 0, "12345678") + get, Served(), 1},
      {"F01 data on an idle stream", H2Frame(kData, 1, 1, "x"), GoAwayWith({kProtocol})},
      {"F01 reset of an idle stream", H2Frame(kRstStream, 0, 1, Number32(8)),
       GoAwayWith({kProtocol})},
      {"F01 window update of an idle stream", H2Frame(kWindowUpdate, 0, 1, Number32(8)),
       GoAwayWith({kProtocol})},
      {"F01 even id", H2Frame(kHeaders, 5, 2, Hpack(H2Get())), GoAwayWith({kProtocol})},
      {"F01 lower id never opened",
       H2Frame(kHeaders, 5, 5, Hpack(H2Get())) + H2Frame(kHeaders, 5, 3, Hpack(H2Get())),
       GoAwayWith({kProtocol}), SIZE_MAX},
      {"F01 headers on stream 0", H2Frame(kHeaders, 5, 0, Hpack(H2Get())), GoAwayWith({kProtocol})},
      {"F02 too large a frame", H2Frame(kPing + 30, 0, 0, std::string(20000, 'x')),
       GoAwayWith({kFrameSize})},
      {"F02 padding as long as the payload",
       H2Frame(kHeaders, kEndHeaders, 1, Hpack(H2Post())) +
           H2Frame(kData, kPadded, 1, std::string("\x06") + "abcde"),
       GoAwayWith({kProtocol}), SIZE_MAX},
  };
}

std::vector<Row> FloodRows() {
  const std::string get = Head(H2Get());
  return {
      {"F03 continuation without headers", H2Frame(kContinuation, 4, 1, Hpack(H2Get())),
       GoAwayWith({kProtocol})},
      {"F03 ping inside a header block",
       H2Frame(kHeaders, 1, 1, Hpack(H2Get())) + H2Frame(kPing, 0, 0, "12345678"),
       GoAwayWith({kProtocol})},
      {"F04 unknown type and flags", H2Frame(77, 0xff, 0, "what") + get, Served(), 1},
      {"F04 unknown flood", Times(5000, H2Frame(77, 0, 0, "")), GoAwayWith({kCalm})},
      {"F08 window update of 0 on the connection", H2Frame(kWindowUpdate, 0, 0, Number32(0)),
       GoAwayWith({kProtocol})},
      {"F08 connection window overflow", H2Frame(kWindowUpdate, 0, 0, Number32(0x7fffffff)),
       GoAwayWith({kFlowControl})},
      {"F09 push promise", H2Frame(kPushPromise, 4, 1, Number32(2) + Hpack(H2Get())),
       GoAwayWith({kProtocol})},
      {"F10 index 0", H2Frame(kHeaders, 5, 1, "\x80"), GoAwayWith({kCompression})},
      {"F10 index too large", H2Frame(kHeaders, 5, 1, "\xff\x7f"), GoAwayWith({kCompression})},
      {"F10 literal with an index too large (h2spec hpack 2.3.3)",
       H2Frame(kHeaders, 5, 1, std::string("\x7f\x23\x01") + "a"), GoAwayWith({kCompression})},
      {"F10 table update too large", H2Frame(kHeaders, 5, 1, "\x3f\xe1\xff\x03"),
       GoAwayWith({kCompression})},
      {"F10 huffman padding of zeros",
       H2Frame(kHeaders, 5, 1,
               std::string("\x10\x81\x00", 3) + "\x01"
                                                "a"),
       GoAwayWith({kCompression})},
      {"F10 integer overflow", H2Frame(kHeaders, 5, 1, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
       GoAwayWith({kCompression})},
      {"A03 continuation flood",
       H2Frame(kHeaders, 1, 1, Hpack(H2Get())) +
           Times(20, H2Frame(kContinuation, 0, 1, HpackLiteral("x-a", "b"))),
       GoAwayWith({kCalm, 2})},
      {"A04 priority flood", Times(5000, H2Frame(kPriority, 0, 3, Number32(0) + "\x10")),
       GoAwayWith({kCalm})},
      {"A04 empty data flood",
       H2Frame(kHeaders, kEndHeaders, 1, Hpack(H2Post())) + Times(5000, H2Frame(kData, 0, 1, "")),
       GoAwayWith({kCalm}), SIZE_MAX},
      {"A04 one-byte data flood",
       H2Frame(kHeaders, kEndHeaders, 1, Hpack(H2Post())) + Times(5000, H2Frame(kData, 0, 1, "x")),
       GoAwayWith({kCalm}), SIZE_MAX},
      {"A04 window update flood",
       H2Frame(kHeaders, kEndHeaders, 1, Hpack(H2Post())) +
           Times(5000, H2Frame(kWindowUpdate, 0, 1, Number32(1))),
       GoAwayWith({kCalm}), SIZE_MAX},
  };
}

std::vector<Row> StreamRows() {
  const std::string post = Head(H2Post(), false);
  return {
      {"F05 data behind the end",
       Head(H2Post()) + H2Frame(kData, 0, 1, "x"),
       {.goaway = {kStreamClosed}, .reset = {kStreamClosed}},
       SIZE_MAX},
      {"F06 padded data",
       post + H2Frame(kData, kPadded | kEndStream, 1, std::string("\x03") + "abc" + "\0\0\0"s),
       Served(), 1},
      {"F07 beyond the stream's window",
       post + Times(5, H2Frame(kData, 0, 1, std::string(16000, 'x'))), ResetWith(kFlowControl),
       SIZE_MAX},
      {"F08 window update of 0 on a stream",
       post + H2Frame(kWindowUpdate, 0, 1, Number32(0)),
       {.goaway = {kProtocol}, .reset = {kProtocol}},
       SIZE_MAX},
      {"F08 stream window overflow", post + H2Frame(kWindowUpdate, 0, 1, Number32(0x7fffffff)),
       ResetWith(kFlowControl), SIZE_MAX},
      {"H01 upper case", With("X-Big", "1"), ResetWith(kProtocol)},
      {"H01 empty name", With("", "1"), ResetWith(kProtocol)},
      {"H01 space in a name", With("a b", "1"), ResetWith(kProtocol)},
      {"H01 colon in a name", With("a:b", "1"), ResetWith(kProtocol)},
      {"H01 CRLF in a name", With("a\r\nb", "1"), ResetWith(kProtocol)},
      {"H02 CRLF in a value", With("a", "1\r\nx: y"), ResetWith(kProtocol)},
      {"H02 LF in a value", With("a", "1\n2"), ResetWith(kProtocol)},
      {"H02 NUL in a value", With("a", "1\0"s + "2"), ResetWith(kProtocol)},
      {"H02 CRLF in the path", Instead(3, "/ HTTP/1.1\r\nx: y"), ResetWith(kProtocol)},
      {"H02 CRLF in the method", Instead(0, "GET / HTTP/1.1\r\nx: y"), ResetWith(kProtocol)},
      {"H02 CRLF in the authority", Instead(2, "a\r\nx: y"), ResetWith(kProtocol)},
      {"H02 CRLF in a cookie", With("cookie", "a\r\nb"), ResetWith(kProtocol)},
      {"H03 leading space", With("a", " 1"), ResetWith(kProtocol)},
      {"H03 trailing tab", With("a", "1\t"), ResetWith(kProtocol)},
  };
}

std::vector<Row> HeadRows() {
  const std::string post = Head(H2Post(), false);
  return {
      {"H04 no method", Without(0), ResetWith(kProtocol)},
      {"H04 no scheme", Without(1), ResetWith(kProtocol)},
      {"H04 no path", Without(3), ResetWith(kProtocol)},
      {"H04 twice", Head(H2Get("/", {{":path", "/b"}})), ResetWith(kProtocol)},
      {"H04 unknown", With(":foo", "1"), ResetWith(kProtocol)},
      {"H04 late", Head({{":method", "GET"}, {"a", "b"}, {":path", "/"}, {":scheme", "http"}}),
       ResetWith(kProtocol)},
      {"H04 of responses", With(":status", "200"), ResetWith(kProtocol)},
      {"H04 empty path", Instead(3, ""), ResetWith(kProtocol)},
      {"H04 in trailers", post + H2Frame(kHeaders, 5, 1, HpackLiteral(":path", "/")),
       ResetWith(kProtocol), SIZE_MAX},
      {"H05 connection", With("connection", "close"), ResetWith(kProtocol)},
      {"H05 keep-alive", With("keep-alive", "1"), ResetWith(kProtocol)},
      {"H05 proxy-connection", With("proxy-connection", "x"), ResetWith(kProtocol)},
      {"H05 transfer-encoding", With("transfer-encoding", "chunked"), ResetWith(kProtocol)},
      {"H05 upgrade", With("upgrade", "h2c"), ResetWith(kProtocol)},
      {"H05 te", With("te", "gzip"), ResetWith(kProtocol)},
      {"H06 a line as method", Instead(0, "GET /evil HTTP/1.1"), ResetWith(kProtocol)},
      {"H06 no slash", Instead(3, "evil"), ResetWith(kProtocol)},
      {"H06 space in the path", Instead(3, "/a b"), ResetWith(kProtocol)},
      {"H06 fragment", Instead(3, "/a#b"), StatusOf(400)},
      {"H06 backslash", Instead(3, "/a\\b"), StatusOf(400)},
      {"H06 high byte", Instead(3, "/\xc3\xa9"), StatusOf(400)},
      {"H06 above the root", Instead(3, "/../x"), StatusOf(400)},
      {"H06 absolute", Instead(3, "http://b/"), ResetWith(kProtocol)},
      {"H06 scheme", Instead(1, "gopher"), StatusOf(400)},
      {"H06 scheme with a path", Instead(1, "http://x/?"), {.reset = {kProtocol}, .status = 400}},
      {"H07 host is another", With("host", "b"), StatusOf(400)},
      {"H07 host is equal", With("host", "fn.example"), Served(), 1},
      {"H07 two hosts",
       Head(H2Get("/", {{"host", "fn.example"}, {"host", "fn.example"}})),
       {.reset = {kProtocol}, .status = 400}},
      {"H07 comma", Instead(2, "a,b"), StatusOf(400)},
      {"H07 user", Instead(2, "u@a"), {.reset = {kProtocol}, .status = 400}},
      {"H07 path", Instead(2, "a/b"), {.reset = {kProtocol}, .status = 400}},
      {"H07 port", Instead(2, "a:99999"), StatusOf(400)},
  };
}

std::vector<Row> MessageRows() {
  const std::string post = Head(H2Post(), false);
  return {
      {"H08 nobody", Without(2), {.reset = {kProtocol}, .status = 400}},
      {"H09 no digits", With("content-length", "x"), ResetWith(kProtocol)},
      {"H09 signed", With("content-length", "+1"), ResetWith(kProtocol)},
      {"H09 two", Head(H2Post("/", {{"content-length", "1"}, {"content-length", "2"}}), false),
       ResetWith(kProtocol)},
      {"H09 list", With("content-length", "1,1"), ResetWith(kProtocol)},
      {"H11 more than said",
       Head(H2Post("/", {{"content-length", "3"}}), false) + H2Frame(kData, 1, 1, "abcdef"),
       ResetWith(kProtocol), SIZE_MAX},
      {"H11 less than said",
       Head(H2Post("/", {{"content-length", "9"}}), false) + H2Frame(kData, 1, 1, "abc"),
       ResetWith(kProtocol), SIZE_MAX},
      {"H13 content-length on CONNECT",
       Connect({{":protocol", "websocket"}, {"content-length", "1"}}),
       {.reset = {kProtocol}, .status = 400}},
      {"H13 a body on GET", Head(H2Get(), false) + H2Frame(kData, 1, 1, "abc"), Served(), 1},
      {"H14 trailers without the end", post + H2Frame(kHeaders, 4, 1, HpackLiteral("a", "b")),
       ResetWith(kProtocol), SIZE_MAX},
      {"H16 too many fields",
       [] {
         H2Fields many;
         for (int i = 0; i < 101; ++i) many.emplace_back("a" + std::to_string(i), "b");
         return Head(H2Get("/", many));
       }(),
       StatusOf(431)},
      {"W02 protocol without CONNECT", Head(H2Get("/", {{":protocol", "websocket"}})),
       ResetWith(kProtocol)},
      {"W02 unknown protocol", Connect({{":protocol", "tcp"}}), StatusOf(501)},
      {"W02 plain CONNECT", Head({{":method", "CONNECT"}, {":authority", "a:1"}}, false),
       StatusOf(405)},
      {"TRACE", Instead(0, "TRACE"), StatusOf(405)},
  };
}

bool OneOf(const std::vector<uint32_t>& wanted, const std::optional<uint32_t>& code) {
  return code && std::find(wanted.begin(), wanted.end(), *code) != wanted.end();
}

void Judge(const Row& row) {
  INFO(row.name);
  DataPlaneOptions options = H2Rig::Defaults();
  options.sessions.http1.linger_timeout = std::chrono::milliseconds(20);
  H2Rig rig(options);
  H2Wire& wire = rig.Dial();
  wire.Send(row.bytes);
  H2Answer& answer = wire.stream(1);
  REQUIRE(rig.RunUntil(
      [&] { return wire.stream(1).over() || wire.read().goaway() || wire.client().ended(); }));
  const bool ended_well = row.fate.served ? answer.status == 200 : answer.status == row.fate.status;
  const bool by_status = (row.fate.served || row.fate.status != 0) && ended_well;
  const bool by_reset = OneOf(row.fate.reset, answer.reset);
  const bool by_goaway = OneOf(row.fate.goaway, wire.read().goaway());
  CAPTURE(answer.status, answer.reset.value_or(999), wire.read().goaway().value_or(999));
  CHECK((by_status || by_reset || by_goaway));
  CHECK(rig.upstream().malformed().empty());
  if (row.forwarded != SIZE_MAX) CHECK(rig.upstream().requests().size() == row.forwarded);
  if (by_goaway) {
    REQUIRE(rig.RunUntil([&] { return wire.client().ended(); }));
  } else {
    CHECK(rig.Ask(wire, 101, H2Get("/after")).status == 200);  // the connection lives
  }
  CHECK(rig.Ask(Get("/probe")).ends_with("GET /probe HTTP/1.1"));
}

TEST_CASE("hostile connections end with the code that RFC 9113 has for it") {
  for (const Row& row : ConnectionRows()) Judge(row);
  for (const Row& row : FloodRows()) Judge(row);
}

TEST_CASE("hostile streams are refused, and their connection goes on") {
  for (const Row& row : StreamRows()) Judge(row);
  for (const Row& row : HeadRows()) Judge(row);
  for (const Row& row : MessageRows()) Judge(row);
}

TEST_CASE("a client that resets what it asks for is sent away, and the pod is spared (A01)") {
  H2Rig rig;
  H2Wire& wire = rig.Dial();
  for (uint32_t i = 0; i < 3000; ++i) {
    wire.Headers(2 * i + 1, H2Get(), true);
    wire.Reset(2 * i + 1, 8);
  }
  REQUIRE(rig.RunUntil([&] { return wire.read().goaway().has_value(); }));
  CHECK(wire.read().goaway() == kCalm);
  REQUIRE(rig.RunUntil([&] { return wire.client().ended() && rig.Quiet(); }));
  CHECK(rig.upstream().requests().size() <= 30);
}

TEST_CASE("a reset does not make room while the pod still works (2.1 f)") {
  DataPlaneOptions options = H2Rig::Defaults();
  options.sessions.http2.streams_max = 2;
  H2Rig rig(options);
  H2Wire& wire = rig.Dial();
  // All in one segment: nothing has been cancelled by the time the third one comes.
  wire.Headers(1, H2Get(), true);
  wire.Headers(3, H2Get(), true);
  wire.Reset(1, 8);
  wire.Reset(3, 8);
  wire.Headers(5, H2Get(), true);
  REQUIRE(rig.RunUntil([&] { return wire.stream(5).over(); }));
  CHECK(wire.stream(5).reset == 7U);
  CHECK(rig.Ask(wire, 7, H2Get()).status == 200);
}

TEST_CASE("settings that are never acknowledged end the connection (S05)") {
  DataPlaneOptions options = H2Rig::Defaults();
  options.sessions.http2.settings_timeout = std::chrono::milliseconds(50);
  H2Rig rig(options);
  WireClient& client = rig.Connect();
  H2Wire wire(client);
  wire.Start();
  REQUIRE(rig.RunUntil([&] { return wire.read().goaway().has_value(); }));
  CHECK(wire.read().goaway() == 4U);
}

TEST_CASE("a header block that never ends meets its deadline (A07)") {
  DataPlaneOptions options = H2Rig::Defaults();
  options.sessions.http1.head_timeout = std::chrono::milliseconds(50);
  H2Rig rig(options);
  H2Wire& wire = rig.Dial();
  wire.Send(H2Frame(kHeaders, 5, 1, Hpack(H2Get())).substr(0, 12));
  REQUIRE(rig.RunUntil([&] { return wire.read().goaway().has_value(); }));
  CHECK(wire.read().goaway() == kCalm);
}

TEST_CASE("what stalls at a closed window is bounded (A05)") {
  DataPlaneOptions options = H2Rig::Defaults();
  options.sessions.http2.unsent_bytes_max = 100'000;
  H2Rig rig(options);
  rig.upstream().SetAnswer([](const FakeRequest&) { return Ok(std::string(100'000, 'b')); });
  H2Wire& wire = rig.Dial(H2Setting(4, 0));
  for (uint32_t i = 0; i < 20; ++i) wire.Headers(2 * i + 1, H2Get(), true);
  size_t resets = 0;
  REQUIRE(rig.RunUntil([&] {
    resets = 0;
    for (uint32_t i = 0; i < 20; ++i) resets += wire.stream(2 * i + 1).reset == kCalm ? 1 : 0;
    return resets >= 10;
  }));
  CHECK(resets < 20);
}

TEST_CASE("a client that takes nothing is cut off at the write timeout (A05)") {
  DataPlaneOptions options = H2Rig::Defaults();
  options.sessions.http1.body.write_idle_timeout = std::chrono::milliseconds(50);
  H2Rig rig(options);
  rig.upstream().SetAnswer([](const FakeRequest&) { return Ok(std::string(100'000, 'b')); });
  H2Wire& wire = rig.Dial(H2Setting(4, 0));
  wire.Headers(1, H2Get(), true);
  CHECK(rig.Wait(wire, 1).reset == kCalm);
}

TEST_CASE("the second head that is too large ends the connection (H16)") {
  H2Rig rig;
  H2Wire& wire = rig.Dial();

  H2Fields many = H2Get();
  for (int i = 0; i < 101; ++i) many.emplace_back("a", "b");
  CHECK(rig.Ask(wire, 1, many).status == 431);
  CHECK(rig.Ask(wire, 3, H2Get()).status == 200);  // the table is still right
  wire.Headers(5, many, true);
  REQUIRE(rig.RunUntil([&] { return wire.read().goaway().has_value(); }));
  CHECK(wire.read().goaway() == kCalm);
}

TEST_CASE("windows that shrink below what is under way are accounted for (S03)") {
  H2Rig rig;
  rig.upstream().SetAnswer([](const FakeRequest&) { return Ok(std::string(60'000, 'b')); });
  H2Wire& wire = rig.Dial(H2Setting(4, 20'000));
  wire.Headers(1, H2Get(), true);
  REQUIRE(rig.RunUntil([&] { return wire.stream(1).body.size() == 20'000; }));
  wire.Send(H2Frame(kSettings, 0, 0, H2Setting(4, 0)));  // 20 000 below zero
  wire.Update(1, 20'000);
  rig.RunFor(std::chrono::milliseconds(20));
  CHECK(wire.stream(1).body.size() == 20'000);
  wire.Update(1, 40'000);
  CHECK(rig.Wait(wire, 1).body.size() == 60'000);
}

}  // namespace
}  // namespace rouse::proxy::testing
