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

}  // namespace

H2ServerStream::H2ServerStream(H2StreamOwner& connection, int32_t id, const PeerInfo& peer,
                               const H1Options& options)
    : H2Stream(connection, id, Side::kDownstream, options.body), peer_(peer), options_(options) {}

void H2ServerStream::TakeRequest(const H2Block& block) {
  net::Shard& shard = connection_.shard();
  bad_ = ReadRequest(block, options_.head, peer_.tls ? "https" : "http", shard.random(), bytes_,
                     head_);
  reader_.Start(!block.end);
  tunnel_ = !head_.upgrade.empty();
  // Who streams both ways may have nothing to say for long.
  if (tunnel_ || IsGrpc(head_)) reader_.SetPatient();
  if (bad_.ok() && head_.body == BodyKind::kLength &&
      head_.content_length > options_.body.body_bytes_max)
    bad_ = {ErrorKind::kBodyTooLarge, Side::kDownstream, false, "the body is over the limit"};
  if (head_.expects_continue) reader_.OnBeforeRead(&SayContinue, this);
}

void H2ServerStream::SayContinue(void* self) {
  auto& stream = *static_cast<H2ServerStream*>(self);
  constexpr H2Field kContinue{":status", "100"};
  if (!stream.writer_.begun() && !stream.closed_)
    stream.connection_.Inform(stream.id_, {&kContinue, 1});
}

void H2ServerStream::Broken(const Error& error) {
  gone_ = true;
  H2Stream::Broken(error);
}

void H2ServerStream::TellGone() {
  if (handed_out_ && gone_watch_.told != nullptr) gone_watch_.told(gone_watch_.context);
}

Step H2ServerStream::TrySendInformational(const ResponseHead& head, const HeadPatch& patch) {
  if (writer_.begun() || closed_) return Step::kDone;
  H2FieldList list(connection_.shard().scratch());
  WriteResponse(head, patch, false, list);
  if (!list.full()) connection_.Inform(id_, list.fields());
  return Step::kDone;
}

Step H2ServerStream::TrySendHead(const ResponseHead& head, const HeadPatch& patch,
                                 std::string_view first, bool end) {
  const bool upgraded = head.status == 101;
  const bool to_head = head_.method == "HEAD";
  const bool bodiless = to_head || head.status == 204 || head.status == 304 ||
                        (!upgraded && head.body == BodyKind::kNone) || (end && first.empty());
  H2FieldList list(connection_.shard().scratch());
  WriteResponse(head, patch, to_head, list);
  if (!upgraded && !to_head && head.status != 204 && head.status != 304 && end &&
      head.body != BodyKind::kLength && !first.empty())
    list.Add("content-length", list.Number(first.size()));
  if (list.full()) {
    writer_.Fail({ErrorKind::kInternal, Side::kLocal, false, "the response head is too long"});
    return Step::kFailed;
  }
  if (closed_) return writer_.State();
  writer_.Begin(first, end || bodiless, !bodiless);
  connection_.Respond(id_, list.fields(), bodiless ? nullptr : &writer_);
  if (writer_.pending() && writer_.error().ok()) connection_.BoundUnsent();
  return writer_.State();
}

size_t H2ServerStream::Park() {
  const size_t held = reader_.Compact();
  // A body that has not ended may fill its window while nobody reads it.
  const size_t window = reader_.peer_ended() ? held : connection_.window_parked();
  return sizeof(*this) + bytes_.size() + head_.fields.heap_bytes() + window;
}

void H2ServerStream::Finish(const Error& error) {
  gone_watch_ = {};
  reader_.Clear();
  if (!writer_.begun() || !writer_.ended() || !error.ok()) {
    connection_.Reset(*this, error.ok() && tunnel_ ? H2Code::kCancel : CodeOfCut(error));
  } else if (!reader_.peer_ended()) {
    // The answer is complete and nobody wants the rest (RFC 9113 section 8.1).
    connection_.Reset(*this, H2Code::kNoError);
  }
  connection_.Remove(*this);
}

}  // namespace rouse::http
