#include "common/net/acceptor.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common/base/check.h"
#include "common/net/listener.h"
#include "common/net/shard.h"
#include "common/net/socket_address.h"
#include "common/net/tcp_transport.h"

namespace rouse::net {
namespace {

Descriptor OpenSpare() { return Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC)); }

/// Nine tenths of the descriptors that the process may have.
int PauseAt() {
  rlimit limit{};
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlim_t most = std::min<rlim_t>(limit.rlim_cur, INT_MAX);
  return static_cast<int>(most / 10 * 9);
}

}  // namespace

Acceptor::Acceptor(Shard& shard, Descriptor listener, OnConnection on_connection)
    : shard_(shard),
      listener_(std::move(listener)),
      spare_(OpenSpare()),
      on_connection_(std::move(on_connection)),
      pause_timer_(&Acceptor::OnPauseOver, this),
      port_(SocketAddress::OfSocket(listener_.get()).port()),
      deferred_(DefersAccept(listener_.get())),
      pause_at_(PauseAt()) {}

Acceptor::~Acceptor() {
  if (started_ && listener_) shard_.poller().Remove(registration_);
}

void Acceptor::Start() {
  CHECK(!started_ && listener_);
  started_ = true;
  registration_ = shard_.poller().Add(listener_.get(), *this, Poller::Trigger::kLevel);
}

void Acceptor::OnReady(Readiness) {
  for (size_t i = 0; i < kAcceptsPerTurn && !paused_ && listener_; ++i) {
    if (!HasRoom()) return Pause();
    if (TakeOne() != Took::kOne) return;
  }
}

void Acceptor::StopAccepting() {
  if (!listener_) return;
  while (TakeOne() == Took::kOne) {
  }
  pause_timer_.Cancel();
  paused_ = false;
  if (started_) shard_.poller().Remove(registration_);
  listener_.Close();
}

Acceptor::Took Acceptor::TakeOne() {
  sockaddr_storage from{};
  socklen_t size = sizeof from;
  Descriptor socket(accept4(listener_.get(), reinterpret_cast<sockaddr*>(&from), &size,
                            SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (socket) {
    // The kernel gives the lowest free descriptor, so its number says how many are taken.
    const bool last = socket.get() >= pause_at_;
    Place(std::move(socket), SocketAddress(from));
    if (last && listener_) Pause();
    return Took::kOne;
  }
  switch (errno) {
    case EAGAIN:
      return Took::kNothing;
    case EMFILE:
    case ENFILE:
      RefuseOne();
      Pause();
      return Took::kNoRoom;
    case ENOBUFS:
    case ENOMEM:
      Pause();
      return Took::kNoRoom;
    // The rest are errors of the one connection that is lost (accept(2)): go on with the next.
    default:
      return Took::kOne;
  }
}

/// Gives the new connection to the shard that has the fewest, if that is clearly not ours.
void Acceptor::Place(Descriptor socket, const SocketAddress& peer) {
  Acceptor* chosen = this;
  size_t fewest = shard_.connections();
  const size_t ours = fewest;
  for (Acceptor* const other : group_) {
    const size_t count = other->shard_.connections();
    if (count < fewest) {
      fewest = count;
      chosen = other;
    }
  }
  if (ours * 8 <= fewest * 9) chosen = this;
  // Counted at once, so that the next choice knows of it.
  chosen->shard_.AddConnection();
  if (chosen == this) {
    Adopt(std::move(socket), peer);
    return;
  }
  chosen->shard_.Post([chosen, socket = std::move(socket), peer]() mutable {
    chosen->Adopt(std::move(socket), peer);
  });
}

void Acceptor::Adopt(Descriptor socket, const SocketAddress& peer) {
  using Origin = TcpTransport::Origin;
  const Origin origin = deferred_ ? Origin::kAcceptedLate : Origin::kAccepted;
  on_connection_(std::make_unique<TcpTransport>(shard_, std::move(socket), peer, origin, port_));
}

/// Out of descriptors: rather than leave a client waiting, use the spare one to take and drop it.
void Acceptor::RefuseOne() {
  spare_.Close();
  const Descriptor refused(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (refused) ++refused_;
}

void Acceptor::Pause() {
  if (!started_ || paused_) return;
  paused_ = true;
  shard_.poller().Mute(listener_.get(), registration_, true);
  pause_timer_.Arm(shard_.timers(), Later(shard_.now(), kPause));
}

void Acceptor::OnPauseOver(void* self) {
  Acceptor& acceptor = *static_cast<Acceptor*>(self);
  if (!acceptor.spare_) acceptor.spare_ = OpenSpare();
  const Descriptor probe(fcntl(acceptor.listener_.get(), F_DUPFD_CLOEXEC, 0));
  if (!probe || probe.get() >= acceptor.pause_at_ || !acceptor.HasRoom()) {
    acceptor.pause_timer_.Arm(acceptor.shard_.timers(), Later(acceptor.shard_.now(), kPause));
    return;
  }
  acceptor.paused_ = false;
  acceptor.shard_.poller().Mute(acceptor.listener_.get(), acceptor.registration_, false);
}

bool Acceptor::HasRoom() const { return shard_.connections() < shard_.limits().connections_max; }

}  // namespace rouse::net
