#include "common/wire/stat_codec.h"

#include <bit>
#include <limits>
#include <string>

#include <catch2/catch.hpp>

#include "common/base/random.h"

namespace rouse::wire {
namespace {

/// Protobuf's bytes, written by hand from the encoding's rules, so that the codec is not its own
/// judge.
std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}
std::string Key(int field, int type) { return Varint(static_cast<uint64_t>(field) << 3 | type); }
std::string Bytes(int field, const std::string& bytes) {
  return Key(field, 2) + Varint(bytes.size()) + bytes;
}
std::string Number(int field, double value) {
  std::string out = Key(field, 1);
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  for (int shift = 0; shift < 64; shift += 8) out.push_back(static_cast<char>(bits >> shift));
  return out;
}
std::string Integer(int field, uint64_t value) { return Key(field, 0) + Varint(value); }

std::string Entry(const std::string& ns, const std::string& name, const std::string& stat) {
  return Bytes(1, Bytes(1, ns) + Bytes(2, name) + Bytes(3, stat));
}

WorkloadStat Sample() {
  return {{"default", "hello-00001"},
          {.pod_name = "activator-1",
           .average_concurrent_requests = 1,
           .average_proxied_concurrent_requests = 0.5,
           .request_count = 3,
           .proxied_request_count = 2,
           .process_uptime_seconds = 12.5,
           .timestamp = 7}};
}

TEST_CASE("a stat has Knative's bytes, field for field") {
  const std::string stat = Bytes(1, "activator-1") + Number(2, 1) + Number(3, 0.5) + Number(4, 3) +
                           Number(5, 2) + Number(6, 12.5) + Integer(7, 7);
  const std::string golden = Entry("default", "hello-00001", stat);

  CHECK(Encode({.stats = {Sample()}}) == golden);
  const auto decoded = Decode(golden);
  REQUIRE(decoded.ok());
  CHECK(decoded->stats == std::vector{Sample()});
  CHECK(decoded->proxy.empty());
  CHECK_FALSE(decoded->complete);
}

TEST_CASE("the poke of a cold start is these bytes") {
  // {messages: {namespace: "ns", name: "rev", stat: {pod_name: "a", 2: 1.0, 4: 1.0}}}
  const std::string bytes(
      "\x0a\x20\x0a\x02ns\x12\x03rev\x1a\x15\x0a\x01"
      "a\x11\0\0\0\0\0\0\xf0\x3f\x21\0\0\0\0\0\0\xf0\x3f",
      34);
  CHECK(
      Encode(
          {.stats = {{{"ns", "rev"},
                      {.pod_name = "a", .average_concurrent_requests = 1, .request_count = 1}}}}) ==
      bytes);
}

TEST_CASE("what we add has numbers that Knative skips, and survives the way there and back") {
  Report report{.proxy = "rouse-proxy-7", .complete = true, .stats = {Sample()}};
  report.stats[0].stat.parked_requests = 41;
  const std::string bytes = Encode(report);
  CHECK(bytes.find(Number(1001, 41)) != std::string::npos);
  CHECK(bytes.find(Bytes(1001, "rouse-proxy-7")) != std::string::npos);
  CHECK(bytes.find(Integer(1002, 1)) != std::string::npos);
  const auto decoded = Decode(bytes);
  REQUIRE(decoded.ok());
  CHECK(*decoded == report);
}

TEST_CASE("an idle period of a nameless sender is the empty message") {
  CHECK(Encode({}).empty());
  const auto decoded = Decode("");
  REQUIRE(decoded.ok());
  CHECK(*decoded == Report{});
}

TEST_CASE("fields that we do not know are skipped at every depth") {
  const std::string unknown = Integer(15, 3) + Number(16, 1) + Bytes(900, "later");
  const std::string entry =
      Bytes(1, Bytes(1, "ns") + unknown + Bytes(2, "rev") + Bytes(3, Number(2, 4) + unknown));
  const auto decoded = Decode(unknown + entry + unknown);
  REQUIRE(decoded.ok());
  REQUIRE(decoded->stats.size() == 1);
  CHECK(decoded->stats[0].stat.average_concurrent_requests == 4);
}

TEST_CASE("a malformed message is refused as a whole") {
  const std::string good = Entry("ns", "rev", Number(2, 1));
  struct Row {
    const char* what;
    std::string bytes;
  };
  const Row rows[] = {
      {"cut inside a tag", good + "\x8a"},
      {"cut inside a length", good + "\x0a\xff"},
      {"length past the end", good + "\x0a\x05" + "ab"},
      {"field number 0", good + std::string("\x00\x01", 2)},
      {"wire type 7", good + "\x0f"},
      {"a group that is never closed", good + "\x0b"},
      {"an end without a group", good + "\x0c"},
      {"text instead of protobuf", "{\"messages\": []}"},
      {"an entry cut inside", Bytes(1, Bytes(1, "ns") + "\x12\x09rev")},
      {"no namespace", Bytes(1, Bytes(2, "rev") + Bytes(3, ""))},
      {"no name", Bytes(1, Bytes(1, "ns") + Bytes(3, ""))},
      {"no stat", Bytes(1, Bytes(1, "ns") + Bytes(2, "rev"))},
      {"a namespace with a slash", Entry("n/s", "rev", "")},
      {"a name with a line feed", Entry("ns", "rev\nx", "")},
      {"a namespace of 64 bytes", Entry(std::string(64, 'n'), "rev", "")},
      {"a name of 254 bytes", Entry("ns", std::string(254, 'n'), "")},
      {"a pod name with a control character", Entry("ns", "rev", Bytes(1, "a\x01"))},
      {"a pod name of 254 bytes", Entry("ns", "rev", Bytes(1, std::string(254, 'n')))},
      {"a proxy name that is not ASCII", Bytes(1001, "\xc3\xa4")},
      {"negative concurrency", Entry("ns", "rev", Number(2, -1))},
      {"concurrency that is no number",
       Entry("ns", "rev", Number(2, std::numeric_limits<double>::quiet_NaN()))},
      {"infinite request count",
       Entry("ns", "rev", Number(4, std::numeric_limits<double>::infinity()))},
      {"more parked than any machine holds", Entry("ns", "rev", Number(1001, 1e10))},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(Decode(row.bytes).status().code() == absl::StatusCode::kInvalidArgument);
  }
  CHECK(Decode(good).ok());
}

TEST_CASE("a message is bounded in bytes and in entries") {
  CHECK_FALSE(Decode(Bytes(900, std::string(kReportBytesMax, 'x'))).ok());

  std::string most;
  for (size_t i = 0; i < kStatsMax; ++i) most += Entry("ns", "rev", "");
  CHECK(Decode(most).ok());
  CHECK_FALSE(Decode(most + Entry("ns", "rev", "")).ok());
}

TEST_CASE("every cut and every changed byte of a message is decoded or refused, never worse") {
  const std::string whole =
      Encode({.proxy = "p", .complete = true, .stats = {Sample(), Sample(), Sample()}});
  for (size_t length = 0; length < whole.size(); ++length) {
    (void)Decode(std::string_view(whole).substr(0, length));
  }
  Random random(5);
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = whole;
    for (uint64_t edits = random.Below(4) + 1; edits > 0; --edits) {
      changed[random.Below(changed.size())] = static_cast<char>(random.Below(256));
    }
    const auto decoded = Decode(changed);
    if (!decoded.ok()) continue;
    for (const WorkloadStat& stat : decoded->stats) {
      REQUIRE(stat.stat.average_concurrent_requests >= 0);
      REQUIRE_FALSE(stat.workload.name.empty());
    }
    REQUIRE(*Decode(Encode(*decoded)) == *decoded);
  }
}

}  // namespace
}  // namespace rouse::wire
