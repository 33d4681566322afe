#include "common/net/tcp_transport.h"

#include <cerrno>
#include <utility>

#include <netinet/tcp.h>
#include <sys/uio.h>

#include "common/base/check.h"
#include "common/net/shard.h"
#include "common/net/socket_calls.h"

namespace rouse::net {

TcpTransport::TcpTransport(Shard& shard, Descriptor socket, const SocketAddress& peer,
                           Origin origin, uint16_t local_port)
    : Transport(shard),
      socket_(std::move(socket)),
      registration_(origin == Origin::kAcceptedLate ? shard.poller().AddLate(socket_.get(), *this)
                                                    : shard.poller().Add(socket_.get(), *this)),
      peer_port_(peer.port()),
      local_port_(local_port),
      origin_(origin) {
  writable_ = origin != Origin::kDialled;
  readable_ = origin == Origin::kAcceptedLate;
  peer_text_size_ = static_cast<uint8_t>(peer.Ip(peer_text_).size());
}

TcpTransport::~TcpTransport() {
  CloseSocket(false);
  if (origin_ == Origin::kAccepted || origin_ == Origin::kAcceptedLate) shard_.RemoveConnection();
}

IoResult TcpTransport::Read(std::span<char> into) {
  DCHECK(!into.empty());
  if (ended_) return {IoStatus::kEnd, 0};
  if (!socket_) return {IoStatus::kBroken, 0};
  const ssize_t count = ReceiveBytes(socket_.get(), into.data(), into.size());
  if (count > 0) {
    const auto bytes = static_cast<size_t>(count);
    if (bytes < into.size()) readable_ = hung_up_;
    return {IoStatus::kDone, bytes};
  }
  if (count == 0 && !error_taken_) {
    hung_up_ = true;
    ended_ = true;
    return {IoStatus::kEnd, 0};
  }
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
    readable_ = errno == EINTR;
    return {IoStatus::kMustWait, 0};
  }
  error_taken_ = true;
  MarkBroken();
  return {IoStatus::kBroken, 0};
}

/// The bytes are held back until the FIN joins them, so both leave in one segment.
IoResult TcpTransport::WriteLast(std::span<const std::string_view> parts) {
  const IoResult wrote = Send(parts, MSG_MORE);
  if (wrote.status == IoStatus::kDone && wrote.bytes == TotalOf(parts)) ShutdownWrite();
  return wrote;
}

IoResult TcpTransport::Send(std::span<const std::string_view> parts, int flags) {
  DCHECK(!parts.empty() && parts.size() <= kPartsMax);
  if (!socket_) return {IoStatus::kBroken, 0};
  size_t total = 0;
  ssize_t count = 0;
  if (parts.size() == 1) {
    total = parts[0].size();
    count = SendBytes(socket_.get(), parts[0].data(), total, flags);
  } else {
    iovec vectors[kPartsMax];
    for (size_t i = 0; i < parts.size(); ++i) {
      vectors[i] = {const_cast<char*>(parts[i].data()), parts[i].size()};
      total += parts[i].size();
    }
    msghdr message{};
    message.msg_iov = vectors;
    message.msg_iovlen = parts.size();
    count = sendmsg(socket_.get(), &message, MSG_NOSIGNAL | flags);
  }
  DCHECK(total > 0);
  if (count > 0) {
    const auto bytes = static_cast<size_t>(count);
    if (bytes < total) writable_ = false;
    return {IoStatus::kDone, bytes};
  }
  if (errno == EAGAIN || errno == EINTR) {
    writable_ = errno == EINTR;
    return {IoStatus::kMustWait, 0};
  }
  // What the peer sent before it broke off can still be read. EPIPE takes no error: the peer's FIN,
  // if it came before its reset, is still to be read (net/ipv4/tcp_input.c, tcp_reset).
  if (errno != EPIPE) error_taken_ = true;
  MarkBroken();
  return {IoStatus::kBroken, 0};
}

void TcpTransport::ShutdownWrite() {
  if (socket_) shutdown(socket_.get(), SHUT_WR);
}

void TcpTransport::Close(bool reset) {
  if (!socket_) return;
  CloseSocket(reset);
  MarkBroken();
}

Descriptor TcpTransport::Detach() {
  if (!socket_ || hung_up_ || broken_) return {};
  shard_.poller().Detach(socket_.get(), registration_);
  Descriptor detached = std::move(socket_);
  MarkBroken();
  return detached;
}

void TcpTransport::CloseSocket(bool reset) {
  if (!socket_) return;
  shard_.poller().Remove(registration_);
  if (reset) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  }
  socket_.Close();
}

uint16_t TcpTransport::local_port() const {
  if (local_port_ != 0) return local_port_;
  return socket_ ? SocketAddress::OfSocket(socket_.get()).port() : 0;
}

int TcpTransport::TakeError() {
  int error = 0;
  socklen_t size = sizeof error;
  if (socket_) getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error;
}

}  // namespace rouse::net
