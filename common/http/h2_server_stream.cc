#include "common/http/h2_server_stream.h"

#include <utility>

namespace rouse::http {
namespace {

bool IsGrpc(const RequestHead& head) {
  return head.fields.Find(HeaderId::kContentType).value_or("").starts_with("application/grpc");
}

/// What a client is told of a response that was cut off.
H2Code CodeOfCut(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kDownstreamClosed:
    case ErrorKind::kDeadlineExceeded:
      return H2Code::kCancel;
    case ErrorKind::kDraining:
      return H2Code::kRefusedStream;
    case ErrorKind::kDownstreamTimeout:
      return H2Code::kEnhanceYourCalm;
    default:
      return H2Code::kInternal;
  }
}

std::string_view SchemeOf(const PeerInfo& peer) { return peer.tls ? "https" : "http"; }

}  // namespace

H2ServerStream::H2ServerStream(H2StreamOwner& connection, int32_t id, const PeerInfo& peer)
    : H2Stream(connection, id), peer_(peer) {}

void H2ServerStream::TakeRequest(const H2Block& block, const H1Options& options) {
  net::Shard& shard = connection_.shard();
  head_ = std::make_unique<Head>();
  bad_ = ReadRequest(block, options.head, SchemeOf(peer_), shard.random(), bytes_, *head_);
  ended_ = block.end;
  tunnel_ = !head_->upgrade.empty();
  to_head_ = head_->method == "HEAD";
  if (bad_.ok() && head_->body == BodyKind::kLength &&
      head_->content_length > options.body.body_bytes_max)
    bad_ = {ErrorKind::kBodyTooLarge, Side::kDownstream, false, "the body is over the limit"};
}

const RequestHead& H2ServerStream::head() const {
  if (!head_) {
    head_ = std::make_unique<Head>();
    UnpackRequest(bytes_, SchemeOf(peer_), *head_);
  }
  return *head_;
}

void H2ServerStream::OpenReader() {
  H2Stream::OpenReader();
  H2BodyReader& reader = *reader_;
  reader.Start(!ended_);
  // Who streams both ways may have nothing to say for long.
  if (tunnel_ || IsGrpc(head())) reader.SetPatient();
  if (head().expects_continue) reader.TellBeforeRead();
}

void H2ServerStream::BeforeRead() {
  constexpr H2Field kContinue{":status", "100"};
  if (!writer().begun() && !closed_) connection_.Inform(id_, {&kContinue, 1});
}

void H2ServerStream::Broken(const Error& error) {
  gone_ = true;
  H2Stream::Broken(error);
}

void H2ServerStream::TellGone() {
  if (handed_out_ && gone_watch_.told != nullptr) gone_watch_.told(gone_watch_.context);
}

Step H2ServerStream::TrySendInformational(const ResponseHead& head, const HeadPatch& patch) {
  if (writer().begun() || closed_) return Step::kDone;
  H2FieldList list(connection_.shard().scratch());
  WriteResponse(head, patch, false, list);
  if (!list.full()) connection_.Inform(id_, list.fields());
  return Step::kDone;
}

Step H2ServerStream::TrySendHead(const ResponseHead& head, const HeadPatch& patch,
                                 std::string_view first, bool end) {
  const bool upgraded = head.status == 101;
  const bool bodiless = to_head_ || head.status == 204 || head.status == 304 ||
                        (!upgraded && head.body == BodyKind::kNone) || (end && first.empty());
  H2FieldList list(connection_.shard().scratch());
  WriteResponse(head, patch, to_head_, list);
  if (!upgraded && !to_head_ && head.status != 204 && head.status != 304 && end &&
      head.body != BodyKind::kLength && !first.empty())
    list.Add("content-length", list.Number(first.size()));
  if (list.full()) {
    writer().Fail({ErrorKind::kInternal, Side::kLocal, false, "the response head is too long"});
    return Step::kFailed;
  }
  if (closed_) return writer().State();
  writer().Begin(first, end || bodiless, !bodiless);
  connection_.Respond(id_, list.fields(), bodiless ? nullptr : &writer());
  if (writer().pending() && writer().error().ok()) connection_.BoundUnsent();
  return writer().State();
}

void H2ServerStream::CompactHead() {
  if (!head_) return;
  bytes_ = PackRequest(*head_);
  head_.reset();
}

/// Head and reader go; both are there again once they are asked for.
size_t H2ServerStream::Park() {
  size_t held = 0;
  if (reader_) {
    held = reader_->Compact();
    ended_ = reader_->peer_ended();
    if (reader_->fresh()) reader_.reset();
  }
  // A body that has not ended may fill its window while nobody reads it.
  const size_t window = ended_ ? held : connection_.window_parked();
  CompactHead();
  return sizeof(*this) + bytes_.size() + window;
}

void H2ServerStream::Finish(const Error& error) {
  gone_watch_ = {};
  reader().Clear();
  if (!writer().begun() || !writer().ended() || !error.ok()) {
    connection_.Reset(*this, error.ok() && tunnel_ ? H2Code::kCancel : CodeOfCut(error));
  } else if (!reader().peer_ended()) {
    // The answer is complete and nobody wants the rest (RFC 9113 section 8.1).
    connection_.Reset(*this, H2Code::kNoError);
  }
  connection_.Remove(*this);
}

}  // namespace rouse::http
