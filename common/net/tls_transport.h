#pragma once
// What:      TlsTransport: TLS over another transport, either role. Handshake first, step by step;
//            after that it is a Transport like any other.
// Owner:     as Transport; owns the one below. One shard.
// Limits:    kBatch bytes of records leave in one write; kPendingMax bytes of records that the
//            connection below has not taken yet.
// Invariant: readable while a record, or a part of one, may be decoded without another read below.
//            Bytes count as written once their records have been taken below, but for the last one,
//            so that a writer that is done has nothing left here. An end without close_notify is
//            kBroken, never kEnd (security.md TL12).
// Never:     reads ahead of its reader more than OpenSSL's one buffer; renegotiates.

#include <memory>
#include <string>

#include "common/net/tls_context.h"
#include "common/net/tls_hello.h"
#include "common/net/tls_peer.h"
#include "common/net/transport.h"

struct bio_st;
struct ssl_st;

namespace rouse::net {

/// Why a handshake failed; labels of a metric.
enum class TlsFailure : uint8_t {
  kNone,
  kClosed,       ///< the peer left, or broke off
  kAlert,        ///< the peer refused with an alert
  kVersion,      ///< no version or cipher in common
  kUnknownName,  ///< no certificate for that name, and it is refused
  kNoProtocol,   ///< ALPN offered nothing that we speak
  kCertificate,  ///< the peer's certificate is missing, or cannot be trusted
  kMalformed,    ///< anything else
};
[[nodiscard]] std::string_view NameOf(TlsFailure failure);
inline constexpr size_t kTlsFailures = 8;

class TlsTransport final : public Transport {
 public:
  static constexpr size_t kRecord = 16 * 1024;
  /// Header, padding and tag of a record, generously.
  static constexpr size_t kRecordOverhead = 256;
  static constexpr size_t kBatch = 2 * (kRecord + kRecordOverhead);
  static constexpr size_t kPendingMax = 128 * 1024;
  enum class Step : uint8_t { kDone, kMustWait, kFailed };

  TlsTransport(Shard& shard, std::unique_ptr<Transport> below, TlsServerPtr server);
  /// `protocols`: what is offered by ALPN, a length byte before each name.
  TlsTransport(Shard& shard, std::unique_ptr<Transport> below, TlsClientPtr client,
               std::string_view protocols);
  ~TlsTransport() override;

  /// Goes on with the handshake as far as it can; kMustWait: when readable() is told, or writable.
  /// After kFailed the alert is on its way, and only Close is left.
  [[nodiscard]] Step Handshake();
  [[nodiscard]] TlsFailure failure() const { return failure_; }

  IoResult Read(std::span<char> into) override;
  IoResult Write(std::span<const std::string_view> parts) override;
  void ShutdownWrite() override;
  void Close(bool reset) override;

  const TlsPeer* tls_peer() const override { return established_ ? &peer_ : nullptr; }
  std::string_view peer_address() const override { return below_->peer_address(); }
  uint16_t peer_port() const override { return below_->peer_port(); }
  uint16_t local_port() const override { return below_->local_port(); }

 private:
  struct Outgoing;
  struct Hooks;
  void Attach(ssl_ctx_st* context);
  void Establish();
  Step Fail();
  [[nodiscard]] TlsFailure Explain(unsigned long code) const;
  IoResult Broken();
  [[nodiscard]] size_t Encrypt(std::span<const std::string_view> parts, size_t skip, bool& failed);
  void Send(std::string_view records);
  void FlushPending();
  void SayClosing();
  void LookReadable();

  static void OnBelowReadable(void* self);
  static void OnBelowWritable(void* self);
  static void OnBelowHungUp(void* self);

  Shard& shard_;
  std::unique_ptr<Transport> below_;
  TlsHello hello_;
  TlsClientPtr client_;
  TlsPeer peer_;
  ssl_st* tls_ = nullptr;
  Outgoing* outgoing_ = nullptr;  ///< where records go while a Write runs
  std::string pending_;           ///< records that could not be sent yet
  size_t pending_sent_ = 0;
  TlsFailure failure_ = TlsFailure::kNone;
  bool established_ = false;
  bool below_ended_ = false;
  bool ended_ = false;      ///< close_notify has come
  bool held_byte_ = false;  ///< the last byte offered is on its way, and not counted yet
  bool closing_said_ = false;
  bool closed_ = false;
  bool fin_wanted_ = false;
};

}  // namespace rouse::net
