#pragma once
// What:  makes the handshakes of a context ask their TlsHello (tls_hello.h). Defined in
//        tls_hello.cc and declared here, so that contexts know nothing of handshakes.
// Owner: functions, called while a context is made.

struct ssl_ctx_st;

namespace rouse::net {

void InstallServerCallbacks(ssl_ctx_st* context);
void InstallClientCallbacks(ssl_ctx_st* context);

}  // namespace rouse::net
