#include "common/net/inbox.h"

#include <utility>

#include <sys/eventfd.h>

#include "common/base/check.h"

namespace rouse::net {

Inbox::Inbox() : wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) { CHECK(wake_); }

Inbox::~Inbox() {
  Node* node = newest_.exchange(nullptr, std::memory_order_acquire);
  if (node == &asleep_) return;
  while (node != nullptr) {
    const std::unique_ptr<Node> gone(node);
    node = gone->next;
  }
}

bool Inbox::Push(Message message) {
  if (queued_.fetch_add(1, std::memory_order_relaxed) >= kMessagesMax) {
    queued_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  auto owned = std::make_unique<Node>();
  owned->message = std::move(message);
  Node* const node = owned.release();
  Node* head = newest_.load(std::memory_order_relaxed);
  do {
    node->next = head == &asleep_ ? nullptr : head;
  } while (!newest_.compare_exchange_weak(head, node, std::memory_order_release,
                                          std::memory_order_relaxed));
  if (head == &asleep_) {
    const uint64_t one = 1;
    CHECK(::write(wake_.get(), &one, sizeof one) == sizeof one);
  }
  return true;
}

size_t Inbox::Run() {
  if (empty()) return 0;
  Node* newest = newest_.exchange(nullptr, std::memory_order_acquire);
  if (newest == &asleep_) return 0;
  Node* oldest = nullptr;
  while (newest != nullptr) {
    Node* const older = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = older;
  }
  size_t count = 0;
  while (oldest != nullptr) {
    const std::unique_ptr<Node> node(oldest);
    oldest = node->next;
    queued_.fetch_sub(1, std::memory_order_relaxed);
    ++count;
    node->message();
  }
  return count;
}

bool Inbox::TrySleep() {
  Node* expected = nullptr;
  return newest_.compare_exchange_strong(expected, &asleep_, std::memory_order_relaxed);
}

void Inbox::Awake() {
  Node* expected = &asleep_;
  newest_.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed);
}

bool Inbox::empty() const {
  const Node* const newest = newest_.load(std::memory_order_relaxed);
  return newest == nullptr || newest == &asleep_;
}

}  // namespace rouse::net
