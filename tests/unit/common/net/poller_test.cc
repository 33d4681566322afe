#include "common/net/poller.h"

#include <functional>
#include <vector>

#include <catch2/catch.hpp>
#include <sys/socket.h>

#include "common/net/descriptor.h"

namespace rouse::net {
namespace {

constexpr TimePoint kStart{std::chrono::seconds(1)};

/// A connected pair of local sockets.
struct Pair {
  Pair() {
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
    ours = Descriptor(fds[0]);
    theirs = Descriptor(fds[1]);
  }
  void Send() { REQUIRE(send(theirs.get(), "x", 1, 0) == 1); }
  Descriptor ours;
  Descriptor theirs;
};

struct Target final : PollTarget {
  void OnReady(Readiness readiness) override {
    seen.push_back(readiness);
    if (then) then();
  }
  std::vector<Readiness> seen;
  std::function<void()> then;
};

TEST_CASE("an edge is told once, and again only when something changes") {
  Poller poller;
  Pair pair;
  Target target;
  const auto registration = poller.Add(pair.ours.get(), target);
  poller.Wait(Duration::zero());
  CHECK(poller.Dispatch(kStart) == 1);
  CHECK(target.seen.back().writable);
  CHECK_FALSE(target.seen.back().readable);
  pair.Send();
  poller.Wait(Duration::zero());
  CHECK(poller.Dispatch(kStart) == 1);
  CHECK(target.seen.back().readable);
  poller.Wait(Duration::zero());
  CHECK(poller.Dispatch(kStart) == 0);
  pair.theirs.Close();
  poller.Wait(Duration::zero());
  CHECK(poller.Dispatch(kStart) == 1);
  CHECK(target.seen.back().hung_up);
  poller.Remove(registration);
}

TEST_CASE("an event of a target that was removed in the same turn is dropped") {
  Poller poller;
  Pair pairs[2];
  Target targets[2];
  Poller::Registration registrations[2];
  for (int i = 0; i < 2; ++i) {
    registrations[i] = poller.Add(pairs[i].ours.get(), targets[i]);
    pairs[i].Send();
  }
  poller.Wait(Duration::zero());
  // Whichever is told first removes the other.
  for (int i = 0; i < 2; ++i) {
    targets[i].then = [&, i] { poller.Remove(registrations[1 - i]); };
  }
  CHECK(poller.Dispatch(kStart) == 2);
  CHECK(targets[0].seen.size() + targets[1].seen.size() == 1);
}

TEST_CASE("an event of a target that was removed does not reach the next user of its slot") {
  Poller poller;
  Pair old_pair;
  Pair next_pair;
  Target old_target;
  Target next_target;
  const auto registration = poller.Add(old_pair.ours.get(), old_target);
  old_pair.Send();
  poller.Wait(Duration::zero());
  poller.Remove(registration);
  const auto next = poller.Add(next_pair.ours.get(), next_target);
  CHECK(next.slot == registration.slot);
  CHECK(next.generation != registration.generation);
  CHECK(poller.Dispatch(kStart) == 1);
  CHECK(old_target.seen.empty());
  CHECK(next_target.seen.empty());
}

TEST_CASE("a target that was added late is told what is so when the next wait begins") {
  Poller poller;
  Pair pair;
  Target target;
  pair.Send();
  const auto registration = poller.AddLate(pair.ours.get(), target);
  char byte = 0;
  REQUIRE(recv(pair.ours.get(), &byte, 1, 0) == 1);
  poller.Wait(Duration::zero());
  CHECK(poller.Dispatch(kStart) == 1);
  CHECK_FALSE(target.seen.back().readable);
  CHECK(target.seen.back().writable);
  pair.Send();
  poller.Wait(Duration::zero());
  CHECK(poller.Dispatch(kStart) == 1);
  CHECK(target.seen.back().readable);
  poller.Remove(registration);
}

TEST_CASE("a target that was added late and has gone leaves its descriptor's number to others") {
  Poller poller;
  Target gone;
  Target next;
  int number = -1;
  {
    Pair pair;
    number = pair.ours.get();
    poller.Remove(poller.AddLate(number, gone));
  }
  Pair pair;
  REQUIRE(pair.ours.get() == number);
  SECTION("another that comes late") { (void)poller.AddLate(number, next); }
  SECTION("one that comes at once") { (void)poller.Add(number, next); }
  pair.Send();
  poller.Wait(Duration::zero());
  CHECK(poller.Dispatch(kStart) == 1);
  CHECK(gone.seen.empty());
  CHECK(next.seen.back().readable);
}

TEST_CASE("a target that was added late can be detached at once") {
  Poller poller;
  Pair pair;
  Target target;
  const auto registration = poller.AddLate(pair.ours.get(), target);
  poller.Detach(pair.ours.get(), registration);
  Poller other;
  (void)other.Add(pair.ours.get(), target);
  pair.Send();
  other.Wait(Duration::zero());
  CHECK(other.Dispatch(kStart) == 1);
  poller.Wait(Duration::zero());
  CHECK(poller.Dispatch(kStart) == 0);
}

TEST_CASE("a level target is told until it is muted, and again after") {
  Poller poller;
  Pair pair;
  Target target;
  const auto registration = poller.Add(pair.ours.get(), target, Poller::Trigger::kLevel);
  pair.Send();
  auto told = [&] {
    poller.Wait(Duration::zero());
    return poller.Dispatch(kStart);
  };
  CHECK(told() == 1);
  CHECK(told() == 1);
  poller.Mute(pair.ours.get(), registration, true);
  CHECK(told() == 0);
  poller.Mute(pair.ours.get(), registration, false);
  CHECK(told() == 1);
}

TEST_CASE("more events than a turn takes are told in the turns after") {
  Poller poller;
  constexpr size_t kTargets = Poller::kEventsPerTurn + 50;
  std::vector<Pair> pairs(kTargets);
  std::vector<Target> targets(kTargets);
  for (size_t i = 0; i < kTargets; ++i) (void)poller.Add(pairs[i].ours.get(), targets[i]);
  poller.Wait(Duration::zero());
  CHECK(poller.Dispatch(kStart) == Poller::kEventsPerTurn);
  poller.Wait(Duration::zero());
  CHECK(poller.Dispatch(kStart) == 50);
}

TEST_CASE("the poller knows how many targets were ready lately, however often each was") {
  using std::chrono::microseconds;
  Poller poller;
  std::vector<Pair> pairs(3);
  std::vector<Target> targets(3);
  for (size_t i = 0; i < 3; ++i) (void)poller.Add(pairs[i].ours.get(), targets[i]);
  TimePoint now = kStart;
  auto turn_after = [&](microseconds later, std::vector<size_t> senders) {
    for (const size_t sender : senders) pairs[sender].Send();
    now += later;
    poller.Wait(Duration::zero());
    return poller.Dispatch(now);
  };
  CHECK(turn_after(microseconds(0), {}) == 3);
  CHECK(turn_after(microseconds(1100), {0, 1}) == 2);
  CHECK(poller.ready_lately() == 3);
  CHECK(turn_after(microseconds(500), {0}) == 1);
  CHECK(poller.ready_lately() == 3);
  CHECK(turn_after(microseconds(600), {}) == 0);
  CHECK(poller.ready_lately() == 2);
  CHECK(turn_after(microseconds(5000), {2}) == 1);
  CHECK(poller.ready_lately() == 0);
}

}  // namespace
}  // namespace rouse::net
