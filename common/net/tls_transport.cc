#include "common/net/tls_transport.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/base/check.h"
#include "common/net/shard.h"

namespace rouse::net {

std::string_view NameOf(TlsFailure failure) {
  constexpr std::string_view kNames[kTlsFailures] = {"ok",          "closed",       "alert",
                                                     "version",     "unknown_name", "no_protocol",
                                                     "certificate", "malformed"};
  return kNames[static_cast<size_t>(failure)];
}

/// Records of one Write, so that they leave in one call.
struct TlsTransport::Outgoing {
  char bytes[kBatch];
  size_t used = 0;
};

/// OpenSSL's view of the transport below.
struct TlsTransport::Hooks {
  static int Read(BIO* bio, char* into, int size) {
    BIO_clear_retry_flags(bio);
    auto& tls = *static_cast<TlsTransport*>(BIO_get_data(bio));
    if (tls.hello_.flooded()) return -1;
    if (!tls.below_->readable() && !tls.below_->broken()) {
      BIO_set_retry_read(bio);
      return -1;
    }
    const IoResult read = tls.below_->Read({into, static_cast<size_t>(size)});
    if (read.status == IoStatus::kDone) return static_cast<int>(read.bytes);
    if (read.status == IoStatus::kMustWait) BIO_set_retry_read(bio);
    if (read.status != IoStatus::kEnd) return -1;
    tls.below_ended_ = true;
    return 0;
  }
  static int Write(BIO* bio, const char* from, int size) {
    BIO_clear_retry_flags(bio);
    auto& tls = *static_cast<TlsTransport*>(BIO_get_data(bio));
    const auto bytes = static_cast<size_t>(size);
    Outgoing* const out = tls.outgoing_;
    if (out != nullptr && bytes <= kBatch - out->used) {
      std::memcpy(out->bytes + out->used, from, bytes);
      out->used += bytes;
      return size;
    }
    if (tls.pending_.size() - tls.pending_sent_ + bytes > kPendingMax) return -1;
    tls.pending_.append(from, bytes);
    return size;
  }
  static long Control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_EOF)
      return static_cast<TlsTransport*>(BIO_get_data(bio))->below_ended_ ? 1 : 0;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
  }
  static const BIO_METHOD* Method() {
    static const BIO_METHOD* const kMethod = [] {
      BIO_METHOD* const method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rouse");
      CHECK(method != nullptr);
      BIO_meth_set_read(method, &Read);
      BIO_meth_set_write(method, &Write);
      BIO_meth_set_ctrl(method, &Control);
      return method;
    }();
    return kMethod;
  }
};

TlsTransport::TlsTransport(Shard& shard, std::unique_ptr<Transport> below, TlsServerPtr server)
    : Transport(shard), shard_(shard), below_(std::move(below)) {
  hello_.server = std::move(server);
  Attach(hello_.server->context->get());
  SSL_set_accept_state(tls_);
}

TlsTransport::TlsTransport(Shard& shard, std::unique_ptr<Transport> below, TlsClientPtr client,
                           std::string_view protocols)
    : Transport(shard), shard_(shard), below_(std::move(below)), client_(std::move(client)) {
  Attach(client_->get());
  SSL_set_connect_state(tls_);
  // Zero means success here.
  if (!protocols.empty())
    CHECK(SSL_set_alpn_protos(tls_, reinterpret_cast<const unsigned char*>(protocols.data()),
                              static_cast<unsigned int>(protocols.size())) == 0);
  // RFC 6066 section 3: no address is sent as a name.
  const std::string& name = client_->server_name();
  if (IsHostName(name)) SSL_set_tlsext_host_name(tls_, name.c_str());
}

void TlsTransport::Attach(ssl_ctx_st* context) {
  tls_ = SSL_new(context);
  BIO* const bio = BIO_new(Hooks::Method());
  CHECK(tls_ != nullptr && bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(tls_, bio, bio);
  hello_.clock = &shard_.clock();
  BindHello(tls_, hello_);
  below_->OnReadable(&OnBelowReadable, this);
  below_->OnWritable(&OnBelowWritable, this);
  below_->OnHangUp(&OnBelowHungUp, this);
  readable_ = below_->readable();
  hung_up_ = below_->hung_up();
  broken_ = below_->broken();
}

TlsTransport::~TlsTransport() {
  Close(false);
  SSL_free(tls_);
}

TlsTransport::Step TlsTransport::Handshake() {
  if (established_) return Step::kDone;
  if (broken_) return Fail();
  ERR_clear_error();
  const int done = SSL_do_handshake(tls_);
  if (done == 1) {
    if (client_ && client_->verify()) {
      if (!client_->Accepts(SSL_get0_peer_certificate(tls_))) {
        failure_ = TlsFailure::kCertificate;
        FlushPending();
        return Step::kFailed;
      }
    }
    Establish();
    FlushPending();
    return Step::kDone;
  }
  const int why = SSL_get_error(tls_, done);
  FlushPending();
  if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return Fail();
  readable_ = below_->readable();
  return Step::kMustWait;
}

void TlsTransport::Establish() {
  established_ = true;
  peer_.version = SSL_get_version(tls_);
  peer_.resumed = SSL_session_reused(tls_) == 1;
  peer_.server_name = std::move(hello_.server_name);
  peer_.served = std::move(hello_.identity);
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(tls_, &protocol, &size);
  if (size > 0) peer_.protocol.assign(reinterpret_cast<const char*>(protocol), size);
  if (hello_.server) {
    const std::string_view by = peer_.served
                                    ? std::string_view(peer_.served->certificates.front()->uri())
                                    : std::string_view();
    peer_.client_certificate = DescribeClient(SSL_get0_peer_certificate(tls_), by);
  }
  LookReadable();
}

TlsTransport::Step TlsTransport::Fail() {
  const unsigned long code = ERR_peek_error();
  if (failure_ == TlsFailure::kNone) failure_ = Explain(code);
  ERR_clear_error();
  return Step::kFailed;
}

TlsFailure TlsTransport::Explain(unsigned long code) const {
  if (hello_.unknown_name) return TlsFailure::kUnknownName;
  if (code == 0 || below_->broken() || below_ended_) return TlsFailure::kClosed;
  switch (ERR_GET_REASON(code)) {
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
      return TlsFailure::kClosed;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
      return TlsFailure::kVersion;
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return TlsFailure::kNoProtocol;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return TlsFailure::kCertificate;
    default:
      // Reasons from 1000 on are alerts that came in (openssl/sslerr.h).
      return ERR_GET_REASON(code) >= SSL_AD_REASON_OFFSET ? TlsFailure::kAlert
                                                          : TlsFailure::kMalformed;
  }
}

IoResult TlsTransport::Read(std::span<char> into) {
  DCHECK(!into.empty());
  if (ended_) return {IoStatus::kEnd, 0};
  if (!established_ || closed_) return {IoStatus::kBroken, 0};
  ERR_clear_error();
  size_t bytes = 0;
  const int done = SSL_read_ex(tls_, into.data(), into.size(), &bytes);
  const int why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(tls_, done);
  if (!pending_.empty()) FlushPending();  // an answer to a KeyUpdate, or an alert
  if (done == 1) {
    LookReadable();
    return {IoStatus::kDone, bytes};
  }
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
    readable_ = below_->readable();
    return {IoStatus::kMustWait, 0};
  }
  if (why == SSL_ERROR_ZERO_RETURN) {
    hung_up_ = ended_ = readable_ = true;
    return {IoStatus::kEnd, 0};
  }
  return Broken();
}

IoResult TlsTransport::Broken() {
  ERR_clear_error();
  MarkBroken();
  return {IoStatus::kBroken, 0};
}

void TlsTransport::LookReadable() {
  readable_ = SSL_has_pending(tls_) == 1 || below_->readable();
  if (below_->hung_up()) hung_up_ = true;
}

IoResult TlsTransport::Write(std::span<const std::string_view> parts) {
  DCHECK(!parts.empty() && parts.size() <= kPartsMax);
  if (!established_ || closed_ || broken_) return {IoStatus::kBroken, 0};
  if (!pending_.empty()) {
    FlushPending();
    if (broken_) return {IoStatus::kBroken, 0};
    if (!pending_.empty()) return {IoStatus::kMustWait, 0};
  }
  const size_t held = std::exchange(held_byte_, false) ? 1 : 0;
  size_t total = 0;
  for (const std::string_view part : parts) total += part.size();
  size_t done = held;
  while (done < total && writable_) {
    bool failed = false;
    done += Encrypt(parts, done, failed);
    if (failed) return Broken();
    if (broken_) return {IoStatus::kBroken, 0};
  }
  if (!pending_.empty() && done > held) {
    held_byte_ = true;
    --done;
  }
  return done > 0 ? IoResult{IoStatus::kDone, done} : IoResult{IoStatus::kMustWait, 0};
}

namespace {

/// Up to one record of what lies behind the first `from` bytes, in one piece.
std::string_view NextRecord(std::span<const std::string_view> parts, size_t from,
                            std::span<char> gathered) {
  size_t used = 0;
  for (const std::string_view& part : parts) {
    const size_t gone = std::min(from, part.size());
    from -= gone;
    const std::string_view take = part.substr(gone, gathered.size() - used);
    if (take.empty()) continue;
    if (used == 0 && (take.size() == gathered.size() || &part == &parts.back())) return take;
    std::memcpy(gathered.data() + used, take.data(), take.size());
    used += take.size();
  }
  return {gathered.data(), used};
}

}  // namespace

/// Seals up to a batch of what lies behind the first `skip` bytes, and sends it.
size_t TlsTransport::Encrypt(std::span<const std::string_view> parts, size_t skip, bool& failed) {
  Outgoing out;
  outgoing_ = &out;
  char gathered[kRecord];
  size_t sealed = 0;
  ERR_clear_error();
  while (kBatch - out.used >= kRecord + kRecordOverhead) {
    const std::string_view next = NextRecord(parts, skip + sealed, gathered);
    if (next.empty()) break;
    size_t written = 0;
    failed = SSL_write_ex(tls_, next.data(), next.size(), &written) != 1;
    if (failed) break;
    sealed += written;
  }
  outgoing_ = nullptr;
  if (!failed && out.used > 0) Send({out.bytes, out.used});
  return sealed;
}

/// What is not taken below waits for it to become writable.
void TlsTransport::Send(std::string_view records) {
  if (!pending_.empty()) {
    pending_.append(records);
    return FlushPending();
  }
  const IoResult sent = below_->Write(std::span(&records, 1));
  if (sent.status == IoStatus::kBroken) return MarkBroken();
  const size_t gone = sent.status == IoStatus::kDone ? sent.bytes : 0;
  if (gone == records.size()) return;
  pending_.assign(records.substr(gone));
  writable_ = false;
}

void TlsTransport::FlushPending() {
  while (pending_sent_ < pending_.size()) {
    const std::string_view rest = std::string_view(pending_).substr(pending_sent_);
    const IoResult sent = below_->Write(std::span(&rest, 1));
    if (sent.status == IoStatus::kBroken) return MarkBroken();
    if (sent.status == IoStatus::kMustWait) {
      writable_ = false;
      return;
    }
    pending_sent_ += sent.bytes;
  }
  pending_ = {};
  pending_sent_ = 0;
  writable_ = true;
  if (std::exchange(fin_wanted_, false)) below_->ShutdownWrite();
}

/// close_notify, once.
void TlsTransport::SayClosing() {
  if (!established_ || broken_ || std::exchange(closing_said_, true)) return;
  ERR_clear_error();
  (void)SSL_shutdown(tls_);
  ERR_clear_error();
  FlushPending();
}

void TlsTransport::ShutdownWrite() {
  if (closed_) return;
  SayClosing();
  if (pending_.empty())
    below_->ShutdownWrite();
  else
    fin_wanted_ = true;
}

void TlsTransport::Close(bool reset) {
  if (std::exchange(closed_, true)) return;
  if (!reset && pending_.empty()) SayClosing();
  below_->OnReadable(nullptr, nullptr);
  below_->OnWritable(nullptr, nullptr);
  below_->OnHangUp(nullptr, nullptr);
  below_->Close(reset);
  MarkBroken();
}

void TlsTransport::OnBelowReadable(void* self) {
  auto& tls = *static_cast<TlsTransport*>(self);
  tls.MarkReady(
      {.readable = true, .hung_up = tls.below_->hung_up(), .broken = tls.below_->broken()});
}

void TlsTransport::OnBelowHungUp(void* self) { OnBelowReadable(self); }

void TlsTransport::OnBelowWritable(void* self) {
  auto& tls = *static_cast<TlsTransport*>(self);
  if (tls.pending_.empty()) return;
  tls.FlushPending();
  if (tls.pending_.empty() || tls.broken_) tls.MarkReady({.writable = true});
}

}  // namespace rouse::net
