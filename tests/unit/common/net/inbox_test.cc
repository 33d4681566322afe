#include "common/net/inbox.h"

#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <poll.h>

namespace rouse::net {
namespace {

bool Woken(const Inbox& inbox) {
  pollfd fd{.fd = inbox.wake_fd(), .events = POLLIN, .revents = 0};
  return poll(&fd, 1, 0) == 1;
}

TEST_CASE("messages run in the order in which they came") {
  Inbox inbox;
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) REQUIRE(inbox.Push([&order, i] { order.push_back(i); }));
  CHECK(inbox.Run() == 5);
  CHECK(order == std::vector{0, 1, 2, 3, 4});
  CHECK(inbox.Run() == 0);
}

TEST_CASE("the wake-up is written only while the shard sleeps, and once") {
  Inbox inbox;
  REQUIRE(inbox.Push([] {}));
  CHECK_FALSE(Woken(inbox));
  CHECK_FALSE(inbox.TrySleep());
  CHECK(inbox.Run() == 1);
  REQUIRE(inbox.TrySleep());
  CHECK_FALSE(Woken(inbox));
  REQUIRE(inbox.Push([] {}));
  CHECK(Woken(inbox));
  inbox.Awake();
  CHECK(inbox.Run() == 1);
}

TEST_CASE("a sleep that nobody disturbed ends with an empty inbox") {
  Inbox inbox;
  REQUIRE(inbox.TrySleep());
  inbox.Awake();
  CHECK(inbox.empty());
  CHECK(inbox.Run() == 0);
}

TEST_CASE("a full inbox says no, and takes messages again once it was emptied") {
  Inbox inbox;
  for (size_t i = 0; i < Inbox::kMessagesMax; ++i) REQUIRE(inbox.Push([] {}));
  CHECK_FALSE(inbox.Push([] {}));
  CHECK(inbox.Run() == Inbox::kMessagesMax);
  CHECK(inbox.Push([] {}));
}

TEST_CASE("several threads post, a sleeping reader misses none, and each sender's order holds") {
  constexpr int kSenders = 3;
  constexpr int kMessages = 20000;
  Inbox inbox;
  std::vector<std::vector<int>> got(kSenders);
  std::vector<std::thread> senders;
  for (int s = 0; s < kSenders; ++s) {
    senders.emplace_back([&inbox, &got, s] {
      for (int i = 0; i < kMessages;) {
        auto& mine = got[static_cast<size_t>(s)];
        if (inbox.Push([&mine, i] { mine.push_back(i); })) ++i;
      }
    });
  }
  size_t total = 0;
  bool in_time = true;
  while (total < size_t{kSenders} * kMessages && in_time) {
    if (inbox.TrySleep()) {
      pollfd fd{.fd = inbox.wake_fd(), .events = POLLIN, .revents = 0};
      in_time = poll(&fd, 1, 20000) == 1;
      inbox.Awake();
      uint64_t count = 0;
      in_time = in_time && read(inbox.wake_fd(), &count, sizeof count) == sizeof count;
    }
    total += inbox.Run();
  }
  for (std::thread& sender : senders) sender.join();
  CHECK(in_time);
  for (const auto& order : got) {
    REQUIRE(order.size() == kMessages);
    for (int i = 0; i < kMessages; ++i) REQUIRE(order[static_cast<size_t>(i)] == i);
  }
}

}  // namespace
}  // namespace rouse::net
