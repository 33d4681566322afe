#include "common/net/tls_tickets.h"

#include <catch2/catch.hpp>

namespace rouse::net {
namespace {

constexpr std::string_view kSeed = "0123456789abcdef0123456789abcdef";

WallTime Epoch(int64_t number) { return WallTime(TlsTicketKeys::kEpoch * number); }

TEST_CASE("replicas with one seed have the same keys, others have not") {
  const TlsTicketKeys a(kSeed, Epoch(100));
  const TlsTicketKeys b(kSeed, Epoch(90));
  const TlsTicketKeys c("another seed, of another cluster", Epoch(100));
  const TlsTicketKeys::Key key = a.Sealing(Epoch(100));
  CHECK(key.name == b.Sealing(Epoch(100)).name);
  CHECK(key.cipher == b.Sealing(Epoch(100)).cipher);
  CHECK(key.mac == b.Sealing(Epoch(100)).mac);
  CHECK(key.cipher != c.Sealing(Epoch(100)).cipher);
  CHECK(key.cipher != key.mac);
  CHECK(TlsTicketKeys::RandomSeed() != TlsTicketKeys::RandomSeed());
}

TEST_CASE("a ticket is opened in its epoch, the next one, and by a clock that lags") {
  const TlsTicketKeys keys(kSeed, Epoch(100));
  const TlsTicketKeys::Key key = keys.Sealing(Epoch(100));
  CHECK(keys.Opening(key.name.data(), Epoch(99)).has_value());
  CHECK(keys.Opening(key.name.data(), Epoch(100)).has_value());
  CHECK(keys.Opening(key.name.data(), Epoch(102) - std::chrono::seconds(1)).has_value());
  CHECK_FALSE(keys.Opening(key.name.data(), Epoch(102)).has_value());
  CHECK(keys.Opening(key.name.data(), Epoch(101))->cipher == key.cipher);
  CHECK(keys.Sealing(Epoch(101)).name != key.name);
  const uint8_t unknown[TlsTicketKeys::kNameBytes] = {};
  CHECK_FALSE(keys.Opening(unknown, Epoch(100)).has_value());
}

}  // namespace
}  // namespace rouse::net
