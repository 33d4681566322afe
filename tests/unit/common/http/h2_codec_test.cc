#include "common/http/h2_codec.h"

#include <string>

#include <catch2/catch.hpp>

#include "tests/support/net/h2_wire.h"

namespace rouse::http {
namespace {

using namespace net::testing;  // NOLINT: frame names

/// Keeps what it is told as a line per event.
struct Told final : H2Codec::Events {
  bool MayBegin() override { return begin; }
  H2Stream* OnBlock(int32_t id, H2Stream*, const H2Block& block) override {
    log += "block " + std::to_string(id) + " " + std::to_string(block.fields.size());
    log += block.too_large ? " too large" : "";
    log += block.end ? " end\n" : "\n";
    return nullptr;
  }
  void OnData(H2Stream&, std::string_view) override {}
  void OnEnd(H2Stream&) override {}
  void OnClosed(H2Stream&, H2Code) override {}
  void OnPacked(H2Outgoing&) override {}
  std::string log;
  bool begin = true;
};

struct Rig {
  explicit Rig(const H2Limits& of = {}) : limits(of) {}
  bool Receive(std::string_view bytes) {
    const bool fine = codec.Receive(bytes, now);
    (void)codec.Pack();
    reader.Feed(codec.output());
    codec.Written(codec.output().size());
    return fine;
  }
  H2Limits limits;
  HeadLimits head;
  Told told;
  TimePoint now = TimePoint{} + std::chrono::seconds(50);
  H2Codec codec{H2Codec::Role::kServer, limits, head, told};
  H2Reader reader;
};

std::string Begin() { return std::string(kH2Preface) + H2Frame(kSettings, 0, 0, ""); }
std::string Head(uint32_t id) {
  return H2Frame(kHeaders, kEndHeaders | kEndStream, id, Hpack(H2Get()));
}

TEST_CASE(
    "a server's first frame is its settings, and heads are told whole, however they are cut") {
  const std::string bytes = Begin() + Head(1);
  for (size_t each = 1; each <= bytes.size(); each += 7) {
    Rig rig;
    for (size_t at = 0; at < bytes.size(); at += each) REQUIRE(rig.Receive(bytes.substr(at, each)));
    CHECK(rig.told.log == "block 1 4 end\n");
    CHECK(rig.reader.settled());
    CHECK(rig.reader.settings_acked());
    CHECK(rig.codec.block_since() == kNever);
  }
}

TEST_CASE("a wrong preface is beyond repair") {
  Rig rig;
  CHECK_FALSE(rig.Receive("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"));
}

TEST_CASE("a request that may not begin is refused, and the header table stays right") {
  Rig rig;
  rig.told.begin = false;
  REQUIRE(rig.Receive(Begin() + Head(1)));
  CHECK(rig.told.log.empty());
  CHECK(rig.reader.stream(1).reset == 7U);
  rig.told.begin = true;
  REQUIRE(rig.Receive(Head(3)));
  CHECK(rig.told.log == "block 3 4 end\n");
}

TEST_CASE("fields beyond the limits are not kept") {
  Rig rig;
  H2Fields many = H2Get();
  for (int i = 0; i < 150; ++i) many.emplace_back("a", "b");
  REQUIRE(rig.Receive(Begin() + H2Frame(kHeaders, 5, 1, Hpack(many))));
  CHECK(rig.told.log == "block 1 104 too large end\n");
}

TEST_CASE("a head that has begun and is not whole is known, with its time") {
  Rig rig;
  REQUIRE(rig.Receive(Begin() + Head(1).substr(0, 12)));
  CHECK(rig.codec.block_since() == rig.now);
}

TEST_CASE("DATA for a stream that is over is answered, wherever the bytes were cut") {
  const std::string bytes = H2Frame(kHeaders, kEndHeaders, 1, Hpack(H2Post())) +
                            H2Frame(kRstStream, 0, 1, Number32(8)) + H2Frame(kData, 0, 1, "late");
  const auto reset = [&](size_t first, size_t each) {
    Rig rig;
    REQUIRE(rig.Receive(Begin()));
    REQUIRE(rig.Receive(bytes.substr(0, first)));
    for (size_t at = first; at < bytes.size(); at += each)
      REQUIRE(rig.Receive(bytes.substr(at, each)));
    return rig.reader.stream(1).reset;
  };
  CHECK(reset(1, 1) == 5U);
  for (size_t first = 1; first <= bytes.size(); ++first) {
    CAPTURE(first);
    CHECK(reset(first, bytes.size()) == 5U);
  }
}

TEST_CASE("too much of anything ends the connection, calmly") {
  H2Limits limits;
  limits.glitches_max = 10;
  Rig rig(limits);
  std::string bytes = Begin();
  for (int i = 0; i < 20; ++i) bytes += H2Frame(99, 0, 0, "");
  (void)rig.Receive(bytes);
  CHECK(rig.reader.goaway() == 11U);
  CHECK(rig.codec.over());
}

TEST_CASE(
    "a head for which there was no room is never packed: its memory may be another's by then") {
  H2Limits limits;
  limits.output_bytes_max = 1000;
  Rig rig(limits);
  REQUIRE(rig.Receive(Begin() + Head(1) + Head(3)));
  std::string value(1200, '\x01');  // has no shorter form, and is not one of a field's
  const H2Field fields[] = {{.name = ":status", .value = "200"},
                            {.name = "a", .value = value, .indexed = false}};
  CHECK(rig.codec.SubmitResponse(1, fields, nullptr));
  CHECK_FALSE(rig.codec.SubmitResponse(3, fields, nullptr));
  value.assign(1200, '\x02');  // as its owner may, once the submit has returned
  rig.codec.Written(rig.codec.output().size());
  H2Outgoing more;
  CHECK_FALSE(rig.codec.Resume(1, more));
  CHECK_FALSE(rig.codec.Pack());
  CHECK(rig.codec.output().empty());
}

}  // namespace
}  // namespace rouse::http
