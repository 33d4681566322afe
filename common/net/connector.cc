#include "common/net/connector.h"

#include <cerrno>
#include <utility>

#include <sys/socket.h>

#include "common/net/descriptor.h"
#include "common/net/shard.h"
#include "common/net/socket_options.h"
#include "common/net/tcp_transport.h"

namespace rouse::net {
namespace {

Error Explain(int code) {
  Error error{ErrorKind::kConnectRefused, Side::kUpstream, true, "connection failed"};
  switch (code) {
    case ECONNREFUSED:
      error.detail = "connection refused";
      break;
    case ECONNRESET:
      error.detail = "reset while connecting";
      break;
    case EHOSTUNREACH:
    case ENETUNREACH:
      error.detail = "no route to the endpoint";
      break;
    case ETIMEDOUT:
      error.kind = ErrorKind::kConnectTimeout;
      error.detail = "connecting timed out";
      break;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
      error = {ErrorKind::kOverloaded, Side::kLocal, true,
               "no descriptor or port left to dial with"};
      break;
    default:
      break;
  }
  return error;
}

}  // namespace

Task<Result<std::unique_ptr<Transport>>> Connect(Shard& shard, SocketAddress to,
                                                 TimePoint deadline) {
  Descriptor socket(::socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) co_return Explain(errno);
  SetConnectionOptions(socket.get());
  if (connect(socket.get(), to.data(), to.size()) != 0 && errno != EINPROGRESS) {
    co_return Explain(errno);
  }
  auto transport =
      std::make_unique<TcpTransport>(shard, std::move(socket), to, TcpTransport::Origin::kDialled);
  const Wake why = co_await transport->WaitWritable(deadline);
  if (why == Wake::kDeadline) {
    co_return Error{ErrorKind::kConnectTimeout, Side::kUpstream, true, "connecting timed out"};
  }
  if (transport->broken()) co_return Explain(transport->TakeError());
  co_return std::unique_ptr<Transport>(std::move(transport));
}

}  // namespace rouse::net
