#include "tests/support/control/sim_loop.h"

#include <algorithm>

#include "common/base/check.h"

namespace rouse::control {

namespace {
constexpr int kEventsMost = 1'000'000;
}

SimLoop::~SimLoop() {
  while (!events_.empty()) Cancel(events_.begin()->first.second);
}

TimerId SimLoop::At(TimePoint when, Task task) {
  const TimerId id = ++last_;
  when = std::max(when, clock_.now());
  events_.emplace(Due(when, id), std::move(task));
  when_.emplace(id, when);
  return id;
}

void SimLoop::Cancel(TimerId timer) {
  const auto found = when_.find(timer);
  if (found == when_.end()) return;
  const auto node = events_.extract(Due(found->second, timer));
  when_.erase(found);
}

TimePoint SimLoop::next_due() const {
  return events_.empty() ? kNever : events_.begin()->first.first;
}

bool SimLoop::Step() {
  if (events_.empty() || next_due() == kNever) return false;
  auto node = events_.extract(events_.begin());
  when_.erase(node.key().second);
  clock_.AdvanceTo(node.key().first);
  node.mapped()();
  return true;
}

void SimLoop::RunUntilIdle() {
  for (int events = 0; next_due() <= clock_.now(); ++events) {
    CHECK(events < kEventsMost);
    Step();
  }
}

void SimLoop::RunUntil(TimePoint when) {
  while (next_due() <= when && Step()) {
  }
  clock_.AdvanceTo(when);
}

}  // namespace rouse::control
