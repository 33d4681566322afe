// shard_relay UPSTREAM_PORT: what rouse_relay does, on common/net: a coroutine per direction,
// pooled frames and buffers, a deadline on every wait. Against rouse_relay it says what the loop
// costs; against rouse-proxy, what HTTP and routing cost. It prints the port it listens on.

#include <cstdio>
#include <cstdlib>

#include "common/net/acceptor.h"
#include "common/net/connector.h"
#include "common/net/listener.h"
#include "common/net/shard.h"

namespace rouse::net {
namespace {

constexpr Duration kIdle = std::chrono::seconds(60);
constexpr Duration kDial = std::chrono::seconds(5);

Task<void> Pump(Shard& shard, Transport& from, Transport& to) {
  while (true) {
    const Wake why = co_await from.WaitReadable(Later(shard.now(), kIdle));
    if (why == Wake::kDeadline) break;
    const Block block = shard.buffers().TakeSmall();
    const IoResult read = from.Read(block.span());
    if (read.status == IoStatus::kMustWait) continue;
    if (read.status != IoStatus::kDone) break;
    const std::string_view data(block.data(), read.bytes);
    if (to.Write({&data, 1}).bytes != data.size()) break;
  }
  to.ShutdownWrite();
}

Task<void> Session(Shard& shard, std::unique_ptr<Transport> client, SocketAddress upstream) {
  auto dialled = co_await Connect(shard, upstream, Later(shard.now(), kDial));
  if (!dialled) co_return;
  const std::unique_ptr<Transport> server = *std::move(dialled);
  co_await Join(Pump(shard, *client, *server), Pump(shard, *server, *client));
}

int Run(uint16_t upstream_port) {
  const SteadyClock clock;
  Shard shard(0, clock, 1, {});
  auto listener = Listen(SocketAddress::Loopback(0), {});
  if (!listener.ok()) return 1;
  std::printf("%d\n", SocketAddress::OfSocket(listener->get()).port());
  std::fflush(stdout);
  const SocketAddress upstream = SocketAddress::Loopback(upstream_port);
  Acceptor acceptor(shard, *std::move(listener), [&](std::unique_ptr<Transport> client) {
    Detach(Session(shard, std::move(client), upstream));
  });
  acceptor.Start();
  shard.Run();
  return 0;
}

}  // namespace
}  // namespace rouse::net

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: shard_relay UPSTREAM_PORT\n");
    return 2;
  }
  return rouse::net::Run(static_cast<uint16_t>(std::atoi(argv[1])));
}
