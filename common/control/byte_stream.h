#pragma once
// What:      ByteStream, one open connection of the control side, plain or TLS, with its types
//            erased so that HTTP and WebSocket are compiled once.
// Owner:     whoever reads and writes it. Destroying it cuts the connection: no callback runs
//            afterwards.
// Shard:     the control thread. Callbacks never run inline.
// Limits:    one Read and one Write at a time; a read hands over at most 16 KiB.
// Never:     finds dead peers by itself: TCP keepalive and TCP_USER_TIMEOUT do (tcp.cc).

#include <memory>
#include <string>
#include <string_view>

#include <absl/functional/any_invocable.h>
#include <absl/status/status.h>

namespace rouse::control {

class ByteStream {
 public:
  /// OK without data: the peer has ended its side. `data` lives until the callback returns.
  using OnRead = absl::AnyInvocable<void(absl::Status, std::string_view data)>;
  using OnWrite = absl::AnyInvocable<void(absl::Status)>;

  virtual ~ByteStream() = default;
  virtual void Read(OnRead on_read) = 0;
  /// Writes all of `data`.
  virtual void Write(std::string data, OnWrite on_write) = 0;
  /// Ends our side (FIN, after a close alert on TLS); to be called when no Write is under way.
  virtual void FinishWriting() = 0;
  /// `address:port`, IPv6 in brackets.
  [[nodiscard]] virtual std::string peer() const = 0;
  [[nodiscard]] virtual std::string local() const = 0;
  /// The subject of the peer's verified certificate, or its first other name; empty without one.
  [[nodiscard]] virtual std::string peer_subject() const = 0;
  /// Held as long as the connection; whoever counts connections counts these.
  std::shared_ptr<void> ticket;
};

}  // namespace rouse::control
