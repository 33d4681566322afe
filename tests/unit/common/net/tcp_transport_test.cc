#include "common/net/tcp_transport.h"

#include <catch2/catch.hpp>

#include "common/base/random.h"
#include "tests/support/net/loopback.h"

namespace rouse::net {
namespace {

using testing::Loopback;
using testing::ReadToEnd;
using testing::WriteAll;

/// Sends back what comes, until the peer ends.
Task<void> Echo(Transport& transport, TimePoint deadline) {
  char buffer[4096];
  while (true) {
    const Wake why = co_await transport.WaitReadable(deadline);
    if (why == Wake::kDeadline) co_return;
    const IoResult read = transport.Read(buffer);
    if (read.status == IoStatus::kEnd) break;
    if (read.status == IoStatus::kBroken) co_return;
    bool ok = false;
    co_await WriteAll(transport, {buffer, read.bytes}, deadline, ok);
    if (!ok) co_return;
  }
  transport.ShutdownWrite();
}

Task<void> WriteThenEnd(Transport& transport, std::string_view data, TimePoint deadline, bool& ok) {
  co_await WriteAll(transport, data, deadline, ok);
  transport.ShutdownWrite();
}

std::string Noise(Random& random, size_t bytes) {
  std::string data(bytes, '\0');
  for (char& c : data) c = static_cast<char>(random.Next());
  return data;
}

TEST_CASE("an echo over loopback returns every byte and both ends see the end") {
  Loopback loop;
  auto pair = loop.Dial();
  REQUIRE(pair.client);
  Random random(7);
  const std::string sent = Noise(random, 3 << 20);
  std::string back;
  bool wrote = false;
  bool ended = false;
  Detach(Echo(*pair.server, loop.soon()));
  Detach(WriteThenEnd(*pair.client, sent, loop.soon(), wrote));
  REQUIRE(loop.RunToEnd(ReadToEnd(*pair.client, loop.soon(), back, ended)));
  CHECK(wrote);
  CHECK(ended);
  CHECK((back == sent));
}

}  // namespace
}  // namespace rouse::net
