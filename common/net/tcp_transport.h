#pragma once
// What:      TcpTransport, a Transport over a TCP socket.
// Owner:     as Transport. Built by Acceptor and Connector, on the shard where it is going to live.
// Invariant: one recv per Read, one send or sendmsg per Write; added to the poller once. A short
//            read clears `readable`; so does EAGAIN, which a hang-up seen too early can cause.
// Never:     sets socket options per connection: the listener's are inherited.

#include "common/net/descriptor.h"
#include "common/net/poller.h"
#include "common/net/socket_address.h"
#include "common/net/transport.h"

namespace rouse::net {

class TcpTransport final : public Transport, private PollTarget {
 public:
  enum class Origin : uint8_t {
    kAccepted,      ///< writable at once; the shard has counted it (Shard::AddConnection)
    kAcceptedLate,  ///< and its first bytes should be there (ListenOptions::defer_accept)
    kDialled,       ///< writable once connected
    kCarried,       ///< connected on another shard, which has detached it; writable at once
  };

  /// `local_port`: 0 where it is not known without asking the kernel.
  TcpTransport(Shard& shard, Descriptor socket, const SocketAddress& peer, Origin origin,
               uint16_t local_port = 0);
  ~TcpTransport() override;

  IoResult Read(std::span<char> into) override;
  IoResult Write(std::span<const std::string_view> parts) override { return Send(parts, 0); }
  IoResult WriteLast(std::span<const std::string_view> parts) override;
  void ShutdownWrite() override;
  void Close(bool reset) override;
  Descriptor Detach() override;

  std::string_view peer_address() const override { return {peer_text_, peer_text_size_}; }
  uint16_t peer_port() const override { return peer_port_; }
  uint16_t local_port() const override;
  void SetPeer(const SocketAddress& peer) override {
    peer_port_ = peer.port();
    peer_text_size_ = static_cast<uint8_t>(peer.Ip(peer_text_).size());
  }

  /// The socket's pending error (SO_ERROR), 0 where there is none.
  [[nodiscard]] int TakeError();

 private:
  void OnReady(Readiness readiness) override { MarkReady(readiness); }
  IoResult Send(std::span<const std::string_view> parts, int flags);
  void CloseSocket(bool reset);

  Descriptor socket_;
  Poller::Registration registration_;
  uint16_t peer_port_;
  uint16_t local_port_;
  Origin origin_;
  uint8_t peer_text_size_ = 0;
  bool ended_ = false;  ///< recv has said 0
  /// A call has taken the socket's error; after that the kernel says 0, which must not pass for a
  /// FIN.
  bool error_taken_ = false;
  char peer_text_[SocketAddress::kTextMax];
};

}  // namespace rouse::net
