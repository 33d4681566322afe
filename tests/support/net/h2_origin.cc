#include "tests/support/net/h2_origin.h"

#include <array>
#include <set>

#include "common/base/check.h"
#include "common/net/listener.h"

namespace rouse::net::testing {

struct H2Origin::Wire {
  std::unique_ptr<Transport> transport;
  H2Reader reader;
  std::string in;  ///< of the preface
  std::string out;
  std::set<uint32_t> begun;
  std::set<uint32_t> ended;
  std::string ping;
  bool started = false;
};

H2Origin::H2Origin(Shard& shard, std::string settings)
    : shard_(shard), settings_(std::move(settings)) {
  auto socket = Listen(SocketAddress::Loopback(0), {});
  CHECK(socket.ok());
  address_ = SocketAddress::OfSocket(socket->get());
  acceptor_ = std::make_unique<Acceptor>(shard, *std::move(socket),
                                         [this](std::unique_ptr<Transport> transport) {
                                           auto wire = std::make_unique<Wire>();
                                           wire->transport = std::move(transport);
                                           wire->out = H2Frame(kSettings, 0, 0, settings_);
                                           wires_.push_back(std::move(wire));
                                         });
  acceptor_->Start();
}

H2Origin::~H2Origin() = default;

H2Answer& H2Origin::on(size_t connection, uint32_t stream) {
  return wires_.at(connection)->reader.stream(stream);
}

bool H2Origin::open(size_t connection) const { return wires_.at(connection)->transport != nullptr; }

void H2Origin::Send(size_t connection, std::string_view bytes) {
  wires_.at(connection)->out += bytes;
}

void H2Origin::Close(size_t connection) { wires_.at(connection)->transport.reset(); }

void H2Origin::CloseAll() {
  for (const auto& wire : wires_) wire->transport.reset();
}

void H2Origin::Step() {
  for (size_t i = 0; i < wires_.size(); ++i) {
    Wire& wire = *wires_[i];
    if (wire.transport == nullptr) continue;
    Read(wire, i);
    if (wire.transport == nullptr || wire.out.empty()) continue;
    const std::string_view out = wire.out;
    const IoResult written = wire.transport->Write({&out, 1});
    if (written.status == IoStatus::kDone) wire.out.erase(0, written.bytes);
    if (written.status == IoStatus::kBroken) wire.transport.reset();
  }
}

void H2Origin::Read(Wire& wire, size_t number) {
  std::array<char, 65536> buffer{};
  while (wire.transport->readable()) {
    const IoResult read = wire.transport->Read(buffer);
    if (read.status == IoStatus::kMustWait) break;
    if (read.status != IoStatus::kDone) return wire.transport.reset();
    std::string_view bytes(buffer.data(), read.bytes);
    // What is read may be sent again, on each stream and on the connection.
    wire.out += H2Frame(kWindowUpdate, 0, 0, Number32(static_cast<uint32_t>(bytes.size())));
    if (!wire.started) {
      wire.in += bytes;
      if (wire.in.size() < kH2Preface.size()) continue;
      CHECK(wire.in.starts_with(kH2Preface));
      wire.started = true;
      wire.out += H2Frame(kSettings, kEndStream, 0, {});
      wire.reader.Feed(std::string_view(wire.in).substr(kH2Preface.size()));
    } else {
      wire.reader.Feed(bytes);
    }
  }
  if (wire.reader.last_ping() != wire.ping) {
    wire.ping = wire.reader.last_ping();
    wire.out += H2Frame(kPing, kEndStream, 0, wire.ping);
  }
  for (auto& [id, message] : wire.reader.streams()) {
    if (!message.head.empty() && wire.begun.insert(id).second && answer_at_head_)
      wire.out += answer_at_head_({.stream = id, .connection = number, .message = message});
    if (!message.ended || !wire.ended.insert(id).second) continue;
    requests_.push_back({.stream = id, .connection = number, .message = message});
    if (answer_) wire.out += answer_(requests_.back());
  }
}

std::string H2Ok(uint32_t stream, std::string_view body, const H2Fields& more) {
  H2Fields fields = {{":status", "200"}};
  fields.insert(fields.end(), more.begin(), more.end());
  const auto flags = static_cast<uint8_t>(kEndHeaders | (body.empty() ? kEndStream : 0));
  std::string out = H2Frame(kHeaders, flags, stream, Hpack(fields));
  if (!body.empty()) out += H2Frame(kData, kEndStream, stream, body);
  return out;
}

}  // namespace rouse::net::testing
