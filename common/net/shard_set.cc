#include "common/net/shard_set.h"

#include <thread>

#include "common/base/check.h"
#include "common/base/random.h"

namespace rouse::net {

struct ShardSet::Threads {
  std::vector<std::thread> threads;
};

ShardSet::ShardSet(const Clock& clock, Options options) : threads_(std::make_unique<Threads>()) {
  CHECK(options.count > 0);
  Random seeds(options.seed);
  shards_.reserve(options.count);
  for (uint32_t i = 0; i < options.count; ++i) {
    shards_.push_back(std::make_unique<Shard>(i, clock, seeds.Next(), options.limits));
  }
}

ShardSet::~ShardSet() { Stop(); }

void ShardSet::Start() {
  CHECK(threads_->threads.empty());
  for (const auto& shard : shards_) {
    threads_->threads.emplace_back([&shard = *shard] { shard.Run(); });
  }
}

void ShardSet::Stop() {
  if (threads_->threads.empty()) return;
  for (const auto& shard : shards_) shard->Stop();
  for (std::thread& thread : threads_->threads) thread.join();
  threads_->threads.clear();
}

void ShardSet::Broadcast(const std::function<void(Shard&)>& each) {
  for (const auto& shard : shards_) {
    shard->Post([&shard = *shard, each] { each(shard); });
  }
}

}  // namespace rouse::net
