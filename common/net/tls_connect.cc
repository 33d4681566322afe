#include "common/net/tls_connect.h"

#include <utility>

#include "common/net/tls_transport.h"

namespace rouse::net {

Task<Result<std::unique_ptr<Transport>>> TlsConnect(Shard& shard, std::unique_ptr<Transport> below,
                                                    TlsClientPtr client, std::string_view protocols,
                                                    TimePoint deadline) {
  auto tls = std::make_unique<TlsTransport>(shard, std::move(below), std::move(client), protocols);
  for (;;) {
    const TlsTransport::Step step = tls->Handshake();
    if (step == TlsTransport::Step::kDone) co_return std::unique_ptr<Transport>(std::move(tls));
    if (step == TlsTransport::Step::kFailed) {
      const bool theirs = tls->failure() == TlsFailure::kCertificate;
      co_return Error{ErrorKind::kUpstreamTls, Side::kUpstream, true,
                      theirs ? "the pod's certificate is not accepted"
                             : "the TLS handshake with the pod failed"};
    }
    const Wake why = co_await tls->WaitReadable(deadline);
    if (why == Wake::kDeadline)
      co_return Error{ErrorKind::kConnectTimeout, Side::kUpstream, true,
                      "the TLS handshake timed out"};
  }
}

}  // namespace rouse::net
