#include "tests/support/net/fake_upstream.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "common/base/check.h"
#include "common/net/connector.h"
#include "common/net/listener.h"
#include "tests/support/net/loopback.h"

namespace rouse::net::testing {
namespace {

std::string Lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return text;
}

/// Cuts `size` bytes off the front.
std::string Cut(std::string& from, size_t size) {
  std::string front = from.substr(0, size);
  from.erase(0, size);
  return front;
}

bool IsCanonical(const FakeRequest& request) {
  const std::string line = request.Line();
  const bool one_host =
      Lower(request.head).find("\r\nhost:") != std::string::npos &&
      Lower(request.head).find("\r\nhost:") == Lower(request.head).rfind("\r\nhost:");
  const bool both =
      !request.Field("content-length").empty() && !request.Field("transfer-encoding").empty();
  return line.ends_with(" HTTP/1.1") && std::count(line.begin(), line.end(), ' ') == 2 &&
         one_host && !both && request.head.find('\0') == std::string::npos;
}

}  // namespace

std::string FakeRequest::Field(std::string_view name) const {
  const std::string lower = Lower(head);
  const std::string mark = "\r\n" + std::string(name) + ":";
  const size_t at = lower.find(mark);
  if (at == std::string::npos) return {};
  size_t begin = at + mark.size();
  while (head[begin] == ' ') ++begin;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

FakeAnswer Ok(std::string_view body, std::string_view fields) {
  return {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
                   std::string(fields) + "\r\n" + std::string(body)};
}

struct FakeUpstream::Wire {
  std::unique_ptr<Transport> transport;
  size_t number = 0;
  std::string in;
  std::string out;
  FakeRequest request;  ///< whose head has been seen
  bool has_head = false;
  bool echo = false;
  bool close = false;  ///< once all is out
  bool reset = false;
  bool byte_by_byte = false;
  bool peer_ended = false;
  bool dead = false;
};

FakeUpstream::FakeUpstream(Shard& shard, Answer answer)
    : shard_(shard), answer_(std::move(answer)) {
  if (!answer_) answer_ = [](const FakeRequest& request) { return Ok(request.Line()); };
  auto socket = Listen(SocketAddress::Loopback(0), {});
  CHECK(socket.ok());
  address_ = SocketAddress::OfSocket(socket->get());
  acceptor_ = std::make_unique<Acceptor>(shard_, *std::move(socket),
                                         [this](std::unique_ptr<Transport> transport) {
                                           auto wire = std::make_unique<Wire>();
                                           wire->transport = std::move(transport);
                                           wire->number = made_++;
                                           wires_.push_back(std::move(wire));
                                         });
  acceptor_->Start();
}

FakeUpstream::~FakeUpstream() = default;

void FakeUpstream::CloseAll(bool reset) {
  for (const auto& wire : wires_) wire->transport->Close(reset);
  wires_.clear();
}

void FakeUpstream::Step() {
  if (held_) return;
  for (const auto& wire : wires_) {
    Read(*wire);
    while (!wire->echo && !wire->close && TakeRequest(*wire)) {
    }
    if (wire->echo) wire->out += Cut(wire->in, wire->in.size());
    Flush(*wire);
  }
  std::erase_if(wires_, [](const auto& wire) { return wire->dead; });
}

void FakeUpstream::Read(Wire& wire) {
  std::array<char, 65536> bytes;
  for (int reads = 0; reads < 16 && !deaf_ && !wire.peer_ended && wire.transport->readable();
       ++reads) {
    const IoResult read = wire.transport->Read(bytes);
    if (read.status == IoStatus::kMustWait) return;
    if (read.status != IoStatus::kDone) {
      wire.peer_ended = true;
      if (wire.has_head || !wire.in.empty()) ++cut_short_;
      if (!wire.echo || read.status == IoStatus::kBroken) wire.dead = wire.out.empty();
      return;
    }
    bytes_received_ += read.bytes;
    wire.in.append(bytes.data(), read.bytes);
  }
}

/// A whole request from the front of what has come; false where there is none yet.
bool FakeUpstream::TakeRequest(Wire& wire) {
  if (!wire.has_head) {
    const size_t end = wire.in.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    wire.request = {};
    wire.request.head = Cut(wire.in, end + 4);
    wire.request.connection = wire.number;
    wire.has_head = true;
    if (!IsCanonical(wire.request)) malformed_.push_back(wire.request.head);
    if (answer_at_head_) Say(wire, answer_at_head_(wire.request));
  }
  FakeRequest& request = wire.request;
  if (const std::string length = request.Field("content-length"); !length.empty()) {
    const size_t wanted = std::strtoull(length.c_str(), nullptr, 10) - request.body.size();
    request.body += Cut(wire.in, std::min(wanted, wire.in.size()));
    if (request.body.size() < std::strtoull(length.c_str(), nullptr, 10)) return false;
  } else if (request.Field("transfer-encoding") == "chunked") {
    for (;;) {
      const size_t line = wire.in.find("\r\n");
      if (line == std::string::npos) return false;
      const size_t size = std::strtoull(wire.in.c_str(), nullptr, 16);
      if (size == 0) {
        const size_t end = wire.in.substr(line, 4) == "\r\n\r\n" ? line : wire.in.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        request.trailers = Cut(wire.in, end + 4).substr(line + 2);
        break;
      }
      if (wire.in.size() < line + 2 + size + 2) return false;
      request.body += wire.in.substr(line + 2, size);
      if (wire.in.substr(line + 2 + size, 2) != "\r\n") malformed_.push_back("chunk without CRLF");
      wire.in.erase(0, line + 2 + size + 2);
    }
  }
  wire.has_head = false;
  requests_.push_back(request);
  if (!answer_at_head_) Say(wire, answer_(requests_.back()));
  return true;
}

void FakeUpstream::Say(Wire& wire, const FakeAnswer& answer) {
  wire.out += answer.bytes;
  wire.byte_by_byte = answer.byte_by_byte;
  wire.echo = answer.after == FakeAnswer::After::kEcho;
  wire.reset = answer.after == FakeAnswer::After::kReset;
  wire.close = wire.reset || answer.after == FakeAnswer::After::kClose;
}

void FakeUpstream::Flush(Wire& wire) {
  while (!wire.out.empty() && !wire.dead) {
    const std::string_view part =
        std::string_view(wire.out).substr(0, wire.byte_by_byte ? 1 : wire.out.size());
    const IoResult wrote = wire.transport->Write({&part, 1});
    if (wrote.status == IoStatus::kBroken) wire.dead = true;
    if (wrote.status != IoStatus::kDone) return;
    wire.out.erase(0, wrote.bytes);
    if (wire.byte_by_byte) return;
  }
  if (!wire.out.empty() || wire.dead) return;
  if (wire.close) wire.transport->Close(wire.reset);
  if (wire.echo && wire.peer_ended) wire.transport->ShutdownWrite();
  if (wire.close || wire.peer_ended) wire.dead = true;
}

WireClient::WireClient(Shard& shard, SocketAddress to) : shard_(shard) {
  std::optional<Result<std::unique_ptr<Transport>>> dialled;
  Detach(DialInto(shard, to, Later(shard.now(), Loopback::kPatience), dialled));
  while (!dialled) shard.Turn(std::chrono::milliseconds(5));
  CHECK(dialled->has_value());
  transport_ = std::move(**dialled);
}

WireClient::~WireClient() = default;

void WireClient::Close(bool reset) {
  transport_->Close(reset);
  ended_ = true;
}

void WireClient::Step() {
  if (!trickle_.empty() && unsent_.empty()) unsent_ = Cut(trickle_, 1);
  while (!unsent_.empty() && !transport_->broken()) {
    const std::string_view part = unsent_;
    const IoResult wrote = transport_->Write({&part, 1});
    if (wrote.status != IoStatus::kDone) break;
    unsent_.erase(0, wrote.bytes);
  }
  if (half_close_ && all_sent()) {
    half_close_ = false;
    transport_->ShutdownWrite();
  }
  std::array<char, 65536> bytes;
  for (int reads = 0; reads < 16 && !deaf_ && !ended_ && transport_->readable(); ++reads) {
    const IoResult read = transport_->Read(bytes);
    if (read.status == IoStatus::kMustWait) return;
    if (read.status != IoStatus::kDone) {
      ended_ = true;
      broken_ = read.status == IoStatus::kBroken;
      return;
    }
    received_bytes_ += read.bytes;
    if (!discard_) received_.append(bytes.data(), read.bytes);
  }
  if (transport_->broken() && !transport_->readable()) ended_ = broken_ = true;
}

size_t WireClient::responses() const {
  size_t count = 0;
  for (size_t at = received_.find("HTTP/1.1 "); at != std::string::npos;
       at = received_.find("HTTP/1.1 ", at + 1))
    ++count;
  return count;
}

}  // namespace rouse::net::testing
