#include "common/http/stream.h"

namespace rouse::http {

net::Task<Result<Piece>> BodyReader::Read(TimePoint deadline) {
  Piece piece;
  for (;;) {
    const Step step = TryRead(piece);
    if (step == Step::kDone) co_return piece;
    if (step == Step::kFailed) co_return error();
    co_await Wait(deadline);
  }
}

net::Task<Result<const ResponseHead*>> ClientStream::ReceiveHead(TimePoint deadline) {
  for (;;) {
    const Result<const ResponseHead*> head = TryReceiveHead();
    if (!head || *head != nullptr) co_return head;
    co_await Wait(deadline);
  }
}

}  // namespace rouse::http
