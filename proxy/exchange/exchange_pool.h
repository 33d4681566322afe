#pragma once
// What:      ExchangePool: exchanges that run, and those that wait for the next request.
// Owner:     DataPlane; outlives what runs. One shard.
// Limits:    as many as ran at once, at most as many as there are connections.

#include <memory>

#include "proxy/exchange/exchange.h"

namespace rouse::proxy {

class ExchangePool {
 public:
  explicit ExchangePool(ExchangeContext& context) : context_(context) {}
  ~ExchangePool() {
    for (Exchange* first : {free_, running_}) {
      while (first != nullptr) {
        const std::unique_ptr<Exchange> gone(first);
        first = gone->next;
      }
    }
  }
  ExchangePool(const ExchangePool&) = delete;
  ExchangePool& operator=(const ExchangePool&) = delete;

  /// One that does not run. To be started at once.
  [[nodiscard]] Exchange& Take() {
    if (free_ == nullptr) {
      free_ = std::make_unique<Exchange>(context_).release();  // each is in one of the two lists
      ++made_;
    }
    Exchange& exchange = *free_;
    free_ = exchange.next;
    exchange.previous = nullptr;
    exchange.next = running_;
    if (running_ != nullptr) running_->previous = &exchange;
    running_ = &exchange;
    return exchange;
  }
  void Retire(Exchange& exchange) {
    (exchange.previous != nullptr ? exchange.previous->next : running_) = exchange.next;
    if (exchange.next != nullptr) exchange.next->previous = exchange.previous;
    exchange.next = free_;
    free_ = &exchange;
  }
  /// Ends everything that runs, soon.
  void AbortAll(const Error& error) {
    for (Exchange* at = running_; at != nullptr; at = at->next) at->Abort(error);
  }
  [[nodiscard]] size_t made() const { return made_; }

 private:
  ExchangeContext& context_;
  size_t made_ = 0;
  Exchange* free_ = nullptr;
  Exchange* running_ = nullptr;
};

}  // namespace rouse::proxy
