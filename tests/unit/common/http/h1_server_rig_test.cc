#include "tests/unit/common/http/h1_server_rig.h"

#include <catch2/catch.hpp>

namespace rouse::http::testing {

using net::IoStatus;
using net::Task;

std::string Statuses(std::string_view output) {
  constexpr std::string_view kStart = "HTTP/1.1 ";
  std::string codes;
  for (size_t at = output.find(kStart); at != std::string_view::npos;
       at = output.find(kStart, at + 1)) {
    if (!codes.empty()) codes += ' ';
    codes += output.substr(at + kStart.size(), 3);
  }
  return codes;
}

ServerRig::ServerRig(Setup setup)
    : shards_(clock_, setup.pipe.seed, 1, setup.limits),
      options_(setup.options),
      gate_(shards_.shard()) {
  auto pair = net::testing::PipeTransport::Make(shard(), shard(), setup.pipe);
  client_ = std::move(pair.first);
  server_ = std::make_unique<H1Server>(shard(), std::move(pair.second), *this, options_);
  server_->Start();
}

ServerRig::~ServerRig() {
  // Every coroutine ends: the client leaves, and the gate stays open.
  client_->Close(true);
  for (int i = 0; i < 4; ++i) {
    gate_.Signal();
    Run();
  }
  if (!closed_) server_->Close();
  Run();
}

void ServerRig::Run() {
  for (;;) {
    shards_.RunUntilIdle();
    loaned_most_ = std::max(loaned_most_, shard().buffers().loaned_bytes());
    const uint64_t before = received_;
    if (!deaf_) ReadClient();
    if (received_ == before) return;
  }
}

void ServerRig::Advance(Duration by) {
  shards_.Advance(by);
  Run();
}

void ServerRig::Send(std::string_view bytes, size_t each) {
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, each);
    const net::IoResult wrote = client_->Write({&part, 1});
    if (wrote.status == IoStatus::kBroken) {
      reset_ = true;
      break;
    }
    bytes.remove_prefix(wrote.bytes);
    const uint64_t before = received_;
    if (wrote.bytes < part.size() || each != SIZE_MAX) Run();
    // The server does not read on: what is left stays unsent.
    if (wrote.status == IoStatus::kMustWait && received_ == before && !client_->readable()) {
      const net::IoResult again = client_->Write({&part, 1});
      if (again.status != IoStatus::kDone) break;
      bytes.remove_prefix(again.bytes);
    }
  }
  Run();
}

void ServerRig::ReadClient() {
  char buffer[16384];
  while (client_->readable() && !ended_ && !reset_) {
    const net::IoResult read = client_->Read(buffer);
    if (read.status == IoStatus::kEnd) ended_ = true;
    if (read.status == IoStatus::kBroken) reset_ = true;
    if (read.status != IoStatus::kDone) return;
    output_.append(buffer, read.bytes);
    received_ += read.bytes;
  }
}

std::string ServerRig::Take() { return std::exchange(output_, {}); }

void ServerRig::OnStream(ServerStream& stream) {
  const RequestHead& head = stream.head();
  seen_.push_back(std::string(head.method) + " " + std::string(head.path));
  net::Detach(Serve(stream));
}

void ServerRig::OnBadRequest(ServerStream& stream, const Error& error) {
  static const std::map<ErrorKind, int> kStatus = {
      {ErrorKind::kBadRequest, 400},         {ErrorKind::kMethodNotAllowed, 405},
      {ErrorKind::kHeadTimeout, 408},        {ErrorKind::kBodyTooLarge, 413},
      {ErrorKind::kTargetTooLong, 414},      {ErrorKind::kExpectationFailed, 417},
      {ErrorKind::kHeadTooLarge, 431},       {ErrorKind::kNotImplemented, 501},
      {ErrorKind::kVersionUnsupported, 505},
  };
  net::Detach(Reply(stream, kStatus.at(error.kind), "refused"));
}

Task<void> ServerRig::Serve(ServerStream& stream) {
  const std::string_view path = stream.head().path;
  std::string body;
  if (path.starts_with("/hold")) co_return co_await Hold(stream);
  if (path == "/echo") co_return co_await Echo(stream);
  if (path == "/tunnel") co_return co_await Tunnel(stream);
  if (path.starts_with("/pour")) co_return co_await Pour(stream);
  if (path == "/early") co_return co_await Reply(stream, 200, "early");
  if (path.starts_with("/status/")) {
    co_return co_await Reply(stream, std::stoi(std::string(path.substr(8))), "body");
  }
  if (path == "/fail") co_return stream.Finish({ErrorKind::kInternal, Side::kLocal, false, ""});
  if (path == "/half") {
    ResponseHead head{.status = 200, .body = BodyKind::kLength, .content_length = 10};
    (void)stream.TrySendHead(head, {}, "abc", false);
    co_return stream.Finish({ErrorKind::kUpstreamTruncated, Side::kUpstream, false, ""});
  }
  if (path == "/hints") {
    (void)stream.TrySendInformational({.status = 103}, {});
  }
  const Error error = co_await ReadBody(stream, body);
  if (!error.ok()) {
    seen_.push_back(std::string("error ") + std::string(CodeOf(error.kind)));
    co_return stream.Finish(error);
  }
  std::string text = std::string(stream.head().method) + " " + std::string(path) + " " + body;
  co_await Reply(stream, 200, std::move(text));
}

Task<void> ServerRig::Reply(ServerStream& stream, int status, std::string body) {
  ResponseHead head{.status = status, .body = BodyKind::kLength, .content_length = body.size()};
  const Step step = stream.TrySendHead(head, {}, body, true);
  if (step == Step::kMustWait) {
    const Result<void> flushed = co_await stream.response_body().Flush(soon());
    if (!flushed) co_return stream.Finish(flushed.error());
  }
  stream.Finish(step == Step::kFailed ? stream.response_body().error() : Error{});
}

Task<Error> ServerRig::ReadBody(ServerStream& stream, std::string& body) {
  for (;;) {
    const Result<Piece> piece = co_await stream.request_body().Read(soon());
    if (!piece) co_return piece.error();
    body += piece->data;
    if (piece->end) break;
  }
  if (const Trailers* trailers = stream.request_body().trailers()) {
    for (size_t i = 0; i < trailers->size(); ++i) {
      body.append("|").append(trailers->name(i)).append("=").append(trailers->value(i));
    }
  }
  co_return Error{};
}

Task<Error> ServerRig::Copy(BodyReader& from, BodyWriter& to) {
  for (;;) {
    const Result<Piece> piece = co_await from.Read(soon());
    if (!piece) co_return piece.error();
    const Trailers* trailers = piece->end ? from.trailers() : nullptr;
    Step step = to.TryWrite(piece->data, piece->end && trailers == nullptr);
    if (step == Step::kMustWait) {
      const Result<void> flushed = co_await to.Flush(soon());
      if (!flushed) co_return flushed.error();
    }
    if (step != Step::kFailed && trailers != nullptr) step = to.TryEnd(*trailers);
    if (step == Step::kFailed) co_return to.error();
    if (piece->end) co_return Error{};
  }
}

/// The body comes back as it came, streamed.
Task<void> ServerRig::Echo(ServerStream& stream) {
  ResponseHead head{.status = 200, .body = BodyKind::kStreamed};
  (void)stream.TrySendHead(head, {}, {}, false);
  const Error error = co_await Copy(stream.request_body(), stream.response_body());
  if (!error.ok()) seen_.push_back(std::string("error ") + std::string(CodeOf(error.kind)));
  stream.Finish(error);
}

Task<void> ServerRig::Tunnel(ServerStream& stream) {
  std::string field = "upgrade: websocket\r\n";
  ResponseHead head{.status = 101};
  head.fields.Bind(field.data());
  const std::string_view text = field;
  head.fields.Append(text.substr(0, 7), text.substr(9, 9), HeaderId::kUpgrade);
  (void)stream.TrySendHead(head, {}, {}, false);
  const Error error = co_await Copy(stream.request_body(), stream.response_body());
  stream.Finish(error);
}

/// "/pour/close" or "/pour/stream": 1 MiB in writes of 10 000 bytes.
Task<void> ServerRig::Pour(ServerStream& stream) {
  const bool close = stream.head().path == "/pour/close";
  ResponseHead head{.status = 200, .body = close ? BodyKind::kUntilClose : BodyKind::kStreamed};
  (void)stream.TrySendHead(head, {}, {}, false);
  const std::string block(10'000, 'p');
  size_t left = 1 << 20;
  while (left > 0) {
    const size_t size = std::min(left, block.size());
    left -= size;
    const Step step =
        stream.response_body().TryWrite(std::string_view(block).substr(0, size), left == 0);
    if (step == Step::kDone) continue;
    const Result<void> flushed = co_await stream.response_body().Flush(soon());
    if (!flushed) {
      seen_.push_back(std::string("error ") + std::string(CodeOf(flushed.error().kind)));
      co_return stream.Finish(flushed.error());
    }
  }
  stream.Finish({});
}

/// Parks until the gate opens or the client leaves, then answers. "/hold/begun": an attempt before
/// has asked for the body, and got nothing of it.
Task<void> ServerRig::Hold(ServerStream& stream) {
  if (stream.head().path == "/hold/begun") {
    Piece piece;
    if (stream.request_body().TryRead(piece) != Step::kMustWait) seen_.push_back("read");
  }
  parked_bytes_ = stream.Park();
  stream.OnGone({[](void* self) {
                   static_cast<ServerRig*>(self)->told_gone_ = true;
                   static_cast<ServerRig*>(self)->gate_.Signal();
                 },
                 this});
  co_await gate_.Wait(kNever);
  stream.OnGone({});
  if (stream.gone()) {
    seen_.push_back("gone");
    co_return stream.Finish({ErrorKind::kDownstreamClosed, Side::kDownstream, false, ""});
  }
  stream.Unpark();
  std::string body;
  const Error error = co_await ReadBody(stream, body);
  if (!error.ok()) {
    seen_.push_back(std::string("error ") + std::string(CodeOf(error.kind)));
    co_return stream.Finish(error);
  }
  std::string text = "held " + std::string(stream.head().host) + " " +
                     std::string(stream.head().fields.Find("x-a").value_or("")) + " " + body;
  co_await Reply(stream, 200, std::move(text));
}

TEST_CASE("statuses are read from what came back") {
  CHECK(Statuses("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 404 \r\n") == "200 404");
}

}  // namespace rouse::http::testing
