#include "tests/support/net/loopback.h"

#include "common/base/check.h"

namespace rouse::net::testing {
namespace {

Task<void> RunThenSay(Task<void> task, bool& ended) {
  co_await task;
  ended = true;
}

}  // namespace

Loopback::Loopback(ShardLimits limits, ListenOptions listen) : shard_(0, clock_, 1, limits) {
  auto socket = Listen(SocketAddress::Loopback(0), listen);
  CHECK(socket.ok());
  address_ = SocketAddress::OfSocket(socket->get());
  acceptor_ = std::make_unique<Acceptor>(
      shard_, *std::move(socket),
      [this](std::unique_ptr<Transport> transport) { accepted_.push_back(std::move(transport)); });
  acceptor_->Start();
}

Loopback::Pair Loopback::Dial() {
  std::optional<Result<std::unique_ptr<Transport>>> result;
  const size_t before = accepted_.size();
  if (!RunToEnd(DialInto(shard_, address_, soon(), result)) || !result->has_value()) return {};
  if (!RunUntil([&] { return accepted_.size() > before; })) return {};
  Pair pair{std::move(**result), std::move(accepted_.back())};
  accepted_.pop_back();
  return pair;
}

bool Loopback::RunUntil(const std::function<bool()>& done) {
  const TimePoint give_up = Later(clock_.now(), kPatience);
  while (!done()) {
    shard_.Turn(std::chrono::milliseconds(20));
    if (shard_.now() > give_up) return false;
  }
  return true;
}

bool Loopback::RunToEnd(Task<void> task) {
  bool ended = false;
  Detach(RunThenSay(std::move(task), ended));
  return RunUntil([&] { return ended; });
}

Task<void> DialInto(Shard& shard, SocketAddress to, TimePoint deadline,
                    std::optional<Result<std::unique_ptr<Transport>>>& result) {
  Result<std::unique_ptr<Transport>> dialled = co_await Connect(shard, to, deadline);
  result.emplace(std::move(dialled));
}

Task<void> WriteAll(Transport& transport, std::string_view data, TimePoint deadline, bool& ok) {
  ok = false;
  while (!data.empty()) {
    const IoResult wrote = transport.Write({&data, 1});
    if (wrote.status == IoStatus::kBroken) co_return;
    data.remove_prefix(wrote.bytes);
    if (data.empty()) break;
    const Wake why = co_await transport.WaitWritable(deadline);
    if (why == Wake::kDeadline) co_return;
  }
  ok = true;
}

Task<void> ReadToEnd(Transport& transport, TimePoint deadline, std::string& out, bool& ended) {
  char buffer[16384];
  ended = false;
  while (true) {
    const Wake why = co_await transport.WaitReadable(deadline);
    if (why == Wake::kDeadline) co_return;
    const IoResult read = transport.Read(buffer);
    if (read.status == IoStatus::kBroken) co_return;
    if (read.status == IoStatus::kEnd) break;
    out.append(buffer, read.bytes);
  }
  ended = true;
}

}  // namespace rouse::net::testing
