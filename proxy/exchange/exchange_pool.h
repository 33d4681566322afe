#pragma once
// What:      ExchangePool: exchanges that run, and those that wait for the next request.
// Owner:     DataPlane; outlives what runs. One shard.
// Limits:    as many as ran at once, at most as many as there are connections.

#include <memory>
#include <vector>

#include "proxy/exchange/exchange.h"

namespace rouse::proxy {

class ExchangePool {
 public:
  explicit ExchangePool(ExchangeContext& context) : context_(context) {}

  /// One that does not run. To be started at once.
  [[nodiscard]] Exchange& Take() {
    if (free_ == nullptr) {
      all_.push_back(std::make_unique<Exchange>(context_));
      free_ = all_.back().get();
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
  [[nodiscard]] size_t made() const { return all_.size(); }

 private:
  ExchangeContext& context_;
  std::vector<std::unique_ptr<Exchange>> all_;
  Exchange* free_ = nullptr;
  Exchange* running_ = nullptr;
};

}  // namespace rouse::proxy
