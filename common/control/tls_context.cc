#include "common/control/tls_context.h"

#include <boost/asio/ssl/context.hpp>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace rouse::control {
namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;

namespace {

using Error = boost::system::error_code;

absl::Status Unusable(const char* part, const Error& error) {
  return absl::InvalidArgumentError(std::string("tls: cannot use the ") + part + ": " +
                                    error.message());
}

absl::Status UseCertificate(ssl::context& context, const std::string& chain,
                            const std::string& key) {
  Error error;
  if (context.use_certificate_chain(asio::buffer(chain), error)) {
    return Unusable("certificate", error);
  }
  if (context.use_private_key(asio::buffer(key), ssl::context::pem, error)) {
    return Unusable("key", error);
  }
  if (SSL_CTX_check_private_key(context.native_handle()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError("tls: the key does not belong to the certificate");
  }
  return absl::OkStatus();
}

TlsContext NewContext(ssl::context::method method) {
  auto context = std::make_shared<ssl::context>(method);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // A password prompt on the terminal would hang the program.
  SSL_CTX_set_default_passwd_cb(native, [](char*, int, int, void*) { return 0; });
  return context;
}

}  // namespace

absl::StatusOr<TlsContext> NewClientContext(const ClientTls& tls) {
  TlsContext context = NewContext(ssl::context::tls_client);
  Error error;
  if (tls.ca_pem.empty()) {
    if (context->set_default_verify_paths(error)) return Unusable("system's roots", error);
  } else if (context->add_certificate_authority(asio::buffer(tls.ca_pem), error)) {
    return Unusable("authority", error);
  }
  if (!tls.certificate_pem.empty()) {
    absl::Status status = UseCertificate(*context, tls.certificate_pem, tls.key_pem);
    if (!status.ok()) return status;
  }
  SSL_CTX_set_verify(context->native_handle(), tls.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                     nullptr);
  return context;
}

absl::StatusOr<TlsContext> NewServerContext(const ServerTls& tls) {
  TlsContext context = NewContext(ssl::context::tls_server);
  absl::Status status = UseCertificate(*context, tls.certificate_pem, tls.key_pem);
  if (!status.ok()) return status;
  if (!tls.client_ca_pem.empty()) {
    Error error;
    if (context->add_certificate_authority(asio::buffer(tls.client_ca_pem), error)) {
      return Unusable("clients' authority", error);
    }
    // Asked for, not required: the service decides what a call without one may do.
    SSL_CTX_set_verify(context->native_handle(), SSL_VERIFY_PEER, nullptr);
    const unsigned char name[] = "rouse";
    SSL_CTX_set_session_id_context(context->native_handle(), name, sizeof name - 1);
  }
  return context;
}

}  // namespace rouse::control
