#pragma once
// What:      Transport: the data side's byte edge. Read some, write some, close; and be told when
//            more can be done.
// Owner:     one stream driver (common/http) at a time; destroying it closes the connection.
// Shard:     one. At most one coroutine waits to read and one to write.
// Invariant: `readable` is cleared by a read that comes up short, unless the peer has hung up
//            (RDHUP, HUP, ERR), which latches until a read says kEnd or kBroken; so there is never
//            a read that could only answer EAGAIN. Nothing resumes inline.
// Never:     buffers, except what TLS must.

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/net/descriptor.h"
#include "common/net/event.h"
#include "common/net/frame_pool.h"
#include "common/net/poller.h"

namespace rouse::net {

class SocketAddress;
struct TlsPeer;

enum class IoStatus : uint8_t {
  kDone,      ///< `bytes` were moved, at least one
  kMustWait,  ///< nothing could be moved now
  kEnd,       ///< read only: the peer has sent everything (FIN)
  kBroken,    ///< reset, timed out, or closed by us
};

struct IoResult {
  IoStatus status = IoStatus::kMustWait;
  size_t bytes = 0;
};

class Transport {
 public:
  /// Called from the loop, in place of a coroutine, for connections that have none.
  using Watch = void (*)(void* context);
  /// Parts of one gathered write.
  static constexpr size_t kPartsMax = 8;

  explicit Transport(Shard& shard) : shard_(shard) {}
  virtual ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  [[nodiscard]] virtual IoResult Read(std::span<char> into) = 0;
  /// Writes as much as goes, in order; at most kPartsMax parts.
  [[nodiscard]] virtual IoResult Write(std::span<const std::string_view> parts) = 0;
  /// As Write, for the last bytes of this side: once all of them are gone, FIN follows, in the same
  /// segment where the transport can.
  [[nodiscard]] virtual IoResult WriteLast(std::span<const std::string_view> parts);
  /// Sends FIN after what was written.
  virtual void ShutdownWrite() = 0;
  /// Ends the connection; with `reset`, by RST. Waiters wake and find kBroken.
  virtual void Close(bool reset) = 0;

  /// Gives the connection up for another shard to go on with (TcpTransport's kCarried); an empty
  /// descriptor where it cannot be: hung up, or it is more than a socket. Closed here afterwards.
  [[nodiscard]] virtual Descriptor Detach() { return {}; }

  /// A read would not have to wait (bytes, FIN or an error are there, as far as we know).
  [[nodiscard]] bool readable() const { return readable_; }
  /// The peer's FIN, a reset or an error has been seen; latched.
  [[nodiscard]] bool hung_up() const { return hung_up_; }
  /// The connection is broken both ways (reset, error), not merely half closed by the peer.
  [[nodiscard]] bool broken() const { return broken_; }

  /// `co_await` until readable() or the deadline. Returns at once where it is readable.
  [[nodiscard]] Event::Awaiter WaitReadable(TimePoint deadline) {
    Event& event = waits().readable;
    if (readable_ || broken_) event.Signal();
    return event.Wait(deadline);
  }
  /// To be awaited after a Write said kMustWait or came up short.
  [[nodiscard]] Event::Awaiter WaitWritable(TimePoint deadline) {
    Event& event = waits().writable;
    if (writable_ || broken_) event.Signal();
    return event.Wait(deadline);
  }

  /// Wakes the coroutine that waits to read, if one does, with nothing to be read.
  void InterruptRead() {
    if (reader_waits()) waits_->readable.Signal();
  }

  /// Told each time the connection becomes readable while no coroutine waits to read. Null to stop.
  void OnReadable(Watch watch, void* context) {
    readable_watch_ = watch;
    readable_context_ = context;
  }
  /// Told once when the peer hangs up (RDHUP, HUP, ERR), also while nobody reads; before OnReadable
  /// is told. Null to stop.
  void OnHangUp(Watch watch, void* context) {
    hang_up_watch_ = watch;
    hang_up_context_ = context;
  }
  /// Told each time the connection becomes writable while no coroutine waits to write: for a
  /// transport that stands on this one, and for a driver that writes at the end of a turn. Null to
  /// stop.
  void OnWritable(Watch watch, void* context) {
    if (watch == nullptr && !waits_) return;
    waits().writable_watch = watch;
    waits().writable_context = context;
  }

  /// What the handshake settled; null where there was none.
  [[nodiscard]] virtual const TlsPeer* tls_peer() const { return nullptr; }
  /// Who the peer is where a trusted one in between says so (PROXY protocol). Before anybody has
  /// asked.
  virtual void SetPeer(const SocketAddress& /*peer*/) {}

  /// The peer's address without port, as text; and its port.
  [[nodiscard]] virtual std::string_view peer_address() const = 0;
  [[nodiscard]] virtual uint16_t peer_port() const = 0;
  [[nodiscard]] virtual uint16_t local_port() const = 0;

 protected:
  [[nodiscard]] static size_t TotalOf(std::span<const std::string_view> parts);
  /// Called by implementations from the loop, and only from there. Sets the flags, wakes waiters
  /// through the ready list, then runs the watches. A watch may destroy the transport, so this must
  /// be the last act.
  void MarkReady(Readiness readiness);
  void MarkReadable() { MarkReady({.readable = true}); }
  void MarkWritable() { MarkReady({.writable = true}); }
  void MarkHungUp(bool broken) { MarkReady({.readable = true, .hung_up = true, .broken = broken}); }
  /// The connection is over, by our own doing or as a call found out: wakes waiters, runs no watch.
  void MarkBroken();

  Shard& shard_;
  bool readable_ = false;
  bool writable_ = true;
  bool hung_up_ = false;
  bool broken_ = false;

 private:
  /// False where the watch destroyed us.
  bool Tell(Watch watch, void* context);

  /// Made when a coroutine first waits: an idle connection of a client never does.
  struct Waits {
    explicit Waits(Shard& shard) : readable(shard), writable(shard) {}
    static void* operator new(size_t bytes) { return FramePool::Take(bytes); }
    static void operator delete(void* waits, size_t bytes) { FramePool::Give(waits, bytes); }
    Event readable;
    Event writable;
    Watch writable_watch = nullptr;
    void* writable_context = nullptr;
  };
  [[nodiscard]] Waits& waits() {
    if (!waits_) waits_ = std::make_unique<Waits>(shard_);
    return *waits_;
  }
  [[nodiscard]] bool reader_waits() const { return waits_ && waits_->readable.waiting(); }
  [[nodiscard]] bool writer_waits() const { return waits_ && waits_->writable.waiting(); }

  std::unique_ptr<Waits> waits_;
  Watch readable_watch_ = nullptr;
  void* readable_context_ = nullptr;
  Watch hang_up_watch_ = nullptr;
  void* hang_up_context_ = nullptr;
  bool* destroyed_ = nullptr;  ///< set while watches run
};

}  // namespace rouse::net
