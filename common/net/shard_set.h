#pragma once
// What:      ShardSet, all shards of a program, and their threads; messages to one or to all.
// Owner:     the program's App; it outlives everything that lives on a shard. Built and ended on
//            one thread.
// Shard:     Post, Broadcast and Gather from any thread.
// Invariant: threads of the data side live only here. Without Start the shards are turned by hand
//            (tests).
// Never:     shared state: what shards share are messages. Atomics are allowed in common/net/inbox
//            and in proxy's slot table alone.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/base/clock.h"
#include "common/net/shard.h"

namespace rouse::net {

class ShardSet {
 public:
  struct Options {
    uint32_t count = 1;
    uint64_t seed = 1;
    ShardLimits limits;
  };

  ShardSet(const Clock& clock, Options options);
  ~ShardSet();  ///< stops first
  ShardSet(const ShardSet&) = delete;
  ShardSet& operator=(const ShardSet&) = delete;

  [[nodiscard]] size_t size() const { return shards_.size(); }
  [[nodiscard]] Shard& shard(size_t i) { return *shards_[i]; }

  /// One thread per shard.
  void Start();
  /// Ends every shard's loop after its current turn, and joins the threads. What the shards own is
  /// left as it was, to be destroyed by the calling thread.
  void Stop();

  void Post(size_t shard, Shard::Message message) { shards_[shard]->Post(std::move(message)); }
  /// Runs `each` on every shard's thread; it must be safe to call from all of them at once.
  void Broadcast(const std::function<void(Shard&)>& each);
  /// Visits the shards one after the other, then calls `done` on the last one's thread with what
  /// each said. Neither is called where the shards are stopped first.
  template <typename T>
  void Gather(absl::AnyInvocable<T(Shard&)> take, absl::AnyInvocable<void(std::vector<T>)> done);

 private:
  struct Threads;

  template <typename T>
  struct Visit {
    absl::AnyInvocable<T(Shard&)> take;
    absl::AnyInvocable<void(std::vector<T>)> done;
    std::vector<T> taken;
  };
  template <typename T>
  void Step(std::unique_ptr<Visit<T>> visit);

  std::vector<std::unique_ptr<Shard>> shards_;
  std::unique_ptr<Threads> threads_;
};

template <typename T>
void ShardSet::Gather(absl::AnyInvocable<T(Shard&)> take,
                      absl::AnyInvocable<void(std::vector<T>)> done) {
  auto visit = std::make_unique<Visit<T>>();
  visit->take = std::move(take);
  visit->done = std::move(done);
  visit->taken.reserve(size());
  Step(std::move(visit));
}

template <typename T>
void ShardSet::Step(std::unique_ptr<Visit<T>> visit) {
  const size_t at = visit->taken.size();
  Post(at, [this, at, visit = std::move(visit)]() mutable {
    visit->taken.push_back(visit->take(shard(at)));
    if (visit->taken.size() < size()) {
      Step(std::move(visit));
    } else {
      visit->done(std::move(visit->taken));
    }
  });
}

}  // namespace rouse::net
