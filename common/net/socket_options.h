#pragma once
// What:  SetConnectionOptions, what every TCP connection of ours has set. Set on a listener, the
//        connections it accepts inherit it (Linux), so accepting costs no further call.
// Owner: nobody. Any thread.

namespace rouse::net {

/// TCP_NODELAY; keepalive probes after 30 s of silence, every 10 s, three of them; TCP_USER_TIMEOUT
/// 20 s: a peer that acknowledges nothing for so long is gone (performance.md 5.17).
void SetConnectionOptions(int fd);

}  // namespace rouse::net
