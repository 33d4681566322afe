#pragma once
// What:      FakeServerStream, a request without a connection, for parts that only park it and
//            watch it leave.
// Owner:     the test. One shard.
// Invariant: Leave() tells the watch once, as a connection would: from the loop, not inline with a
//            call.
// Never:     carries bodies.

#include "common/base/check.h"
#include "common/http/stream.h"

namespace rouse::http::testing {

class FakeServerStream final : public ServerStream {
 public:
  explicit FakeServerStream(size_t parked_bytes = 1024) : parked_bytes_(parked_bytes) {}

  /// The client goes away. To be called from the loop (a posted message, a timer, the test itself).
  void Leave() {
    if (gone_) return;
    gone_ = true;
    if (watch_.told != nullptr) watch_.told(watch_.context);
  }
  [[nodiscard]] int parks() const { return parks_; }
  [[nodiscard]] int unparks() const { return unparks_; }
  [[nodiscard]] bool watched() const { return watch_.told != nullptr; }

  const RequestHead& head() const override { return head_; }
  const PeerInfo& peer() const override { return peer_; }
  BodyReader& request_body() override { UNREACHABLE(); }
  BodyWriter& response_body() override { UNREACHABLE(); }
  Step TrySendInformational(const ResponseHead&, const HeadPatch&) override { UNREACHABLE(); }
  Step TrySendHead(const ResponseHead&, const HeadPatch&, std::string_view, bool) override {
    UNREACHABLE();
  }
  bool head_sent() const override { return false; }
  size_t Park() override {
    ++parks_;
    return parked_bytes_;
  }
  void Unpark() override { ++unparks_; }
  void OnGone(GoneWatch watch) override { watch_ = watch; }
  bool gone() const override { return gone_; }
  void CloseAfter() override {}
  void Finish(const Error&) override {}

 private:
  size_t parked_bytes_;
  int parks_ = 0;
  int unparks_ = 0;
  bool gone_ = false;
  GoneWatch watch_;
  RequestHead head_;
  PeerInfo peer_;
};

}  // namespace rouse::http::testing
