#include "common/http/h2_client_stream.h"

#include <utility>

namespace rouse::http {

H2ClientStream::H2ClientStream(H2StreamOwner& connection)
    : H2Stream(connection, H2Codec::kNoStream), head_event_(connection.shard()) {}

Step H2ClientStream::TrySendHead(const RequestHead& head, const HeadPatch& patch,
                                 std::string_view first, bool end) {
  to_head_ = head.method == "HEAD";
  connect_ = !head.upgrade.empty();
  if (!error_.ok()) return Step::kFailed;
  if (connect_ && !connection_.codec().peer_takes_connect_protocol()) {
    Fail({ErrorKind::kUpstreamProtocol, Side::kUpstream, false,
          "the pod takes no WebSocket over HTTP/2"});
    return Step::kFailed;
  }
  H2FieldList list(connection_.shard().scratch());
  WriteRequest(head, patch, list);
  if (list.full()) {
    Fail({ErrorKind::kHeadTooLarge, Side::kLocal, false, "the request head is too long"});
    return Step::kFailed;
  }
  if (connect_) {
    const auto key = head.fields.Find("sec-websocket-key");
    accept_ = std::make_unique<WebSocketAccept>(AcceptOf(key.value_or("")));
  }
  const bool bodiless = !connect_ && (head.body == BodyKind::kNone || (end && first.empty()));
  position_ = connection_.codec().packed_total();
  writer().Begin(connect_ ? std::string_view() : first, !connect_ && (end || bodiless), !bodiless);
  id_ = connection_.Request(*this, list.fields(), bodiless ? nullptr : &writer());
  if (id_ == H2Codec::kNoStream) {
    closed_ = true;
    Fail({ErrorKind::kUpstreamReset, Side::kUpstream, true, "no stream could be opened"});
    return Step::kFailed;
  }
  sent_ = true;
  return writer().State();
}

void H2ClientStream::OpenReader() {
  H2Stream::OpenReader();
  reader_->Start(sent_);
  if (connect_) reader_->SetPatient();
}

void H2ClientStream::TakeHead(const H2Block& block) {
  touched_ = true;
  if (!error_.ok()) return;
  auto received = std::make_unique<Received>();
  const std::string_view accept =
      accept_ ? std::string_view(accept_->data(), accept_->size()) : std::string_view();
  Error error = ReadResponse(block, to_head_, accept, received->bytes, received->head);
  const int status = received->head.status;
  if (error.ok() && status < 200) {
    if (status == 101)
      error = {ErrorKind::kUpstreamProtocol, Side::kUpstream, false, "a 101 over HTTP/2"};
    if (early_ == nullptr) early_ = std::make_unique<Early>();
    if (early_->waiting.size() >= kInformationalMax)
      error = {ErrorKind::kUpstreamProtocol, Side::kUpstream, false, "too many 1xx responses"};
    // A 100 answers an Expect that was never forwarded: the client has had its own.
    if (error.ok() && status != 100) early_->waiting.push_back(std::move(received));
  } else if (error.ok()) {
    received_ = std::move(received);
    if (!connect_ || status >= 300) {
      connect_ = false;
      if (block.end || received_->head.body == BodyKind::kNone) reader().Start(false);
    } else {
      received_->head.status = 101;
      received_->head.body = BodyKind::kStreamed;
    }
  }
  if (!error.ok()) return Fail(error);
  head_event_.SignalWaiter();
}

Result<const ResponseHead*> H2ClientStream::TryReceiveHead() {
  if (early()) {
    early_->current = std::move(early_->waiting.front());
    early_->waiting.pop_front();
    return &early_->current->head;
  }
  if (received_) return &received_->head;
  if (!error_.ok()) return error_;
  return nullptr;
}

net::Event::Awaiter H2ClientStream::BeginWait(TimePoint deadline) {
  if (early() || received_ || !error_.ok()) head_event_.Signal();
  return head_event_.Wait(deadline);
}

void H2ClientStream::EndWait(net::Wake why) {
  if (why == net::Wake::kDeadline && !received_ && error_.ok())
    Fail({ErrorKind::kResponseStartTimeout, Side::kUpstream, false, "no response in time"});
}

void H2ClientStream::Fail(const Error& error) {
  if (error_.ok()) error_ = error;
  reader().Fail(error);
  writer().Fail(error);
  head_event_.SignalWaiter();
}

/// The pod reset the stream, or the connection is gone.
void H2ClientStream::Broken(const Error& error) {
  Error own = error;
  if (!sent_) own.retry_safe = true;
  if (sent_ && connection_.codec().written_total() <= position_) own.retry_safe = true;
  if (touched_) own.retry_safe = false;
  // A complete answer stands, whatever became of the rest of the request (RFC 9113 section 8.1).
  if (received_ && reader().peer_ended()) {
    if (!writer().ended()) writer().Fail(own);
    return;
  }
  if (received_) own.kind = ErrorKind::kUpstreamTruncated;
  Fail(own);
}

void H2ClientStream::Cancel(const Error& error) {
  if (!error_.ok()) return;
  Fail(error);
  if (sent_) connection_.Reset(*this, H2Code::kCancel);
}

void H2ClientStream::Finish() {
  reader().Clear();
  const bool whole = writer().ended() && reader().peer_ended() && error_.ok();
  if (sent_ && !whole) connection_.Reset(*this, H2Code::kCancel);
  if (!sent_) closed_ = true;
  connection_.Remove(*this);
}

}  // namespace rouse::http
