#include "common/control/asio_loop.h"

#include <algorithm>
#include <list>
#include <map>
#include <utility>

#include <absl/container/flat_hash_map.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

namespace rouse::control {
namespace asio = boost::asio;

namespace {
/// How long RunUntil sleeps at most before it looks at its deadline again.
constexpr Duration kTurn = std::chrono::milliseconds(20);

struct Signal {
  Signal(asio::io_context& io, int number, absl::AnyInvocable<void()> told_in)
      : set(io, number), told(std::move(told_in)) {}
  asio::signal_set set;
  absl::AnyInvocable<void()> told;
};

void Wait(Signal& signal) {
  signal.set.async_wait([&signal](boost::system::error_code error, int) {
    if (error) return;
    Wait(signal);
    signal.told();
  });
}
}  // namespace

/// Handlers that die with the io_context may still call Cancel: what that touches is declared
/// before it.
struct AsioLoop::Parts {
  using Due = std::pair<TimePoint, TimerId>;

  std::map<Due, Task> timers;
  absl::flat_hash_map<TimerId, TimePoint> when;
  TimerId last_timer = 0;
  TimePoint armed = kNever;
  bool closing = false;

  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  asio::steady_timer alarm{io};
  std::list<Signal> signals;
};

AsioLoop::AsioLoop(const Clock& clock) : clock_(clock), parts_(std::make_unique<Parts>()) {}

AsioLoop::~AsioLoop() {
  parts_->closing = true;
  // A timer's task may hold a socket (one in a TLS handshake does), which must go before the
  // io_context does. What goes may call Cancel, so the map is empty by then.
  const std::map<Parts::Due, Task> tasks = std::exchange(parts_->timers, {});
  parts_->when.clear();
}

asio::io_context& AsioLoop::io() { return parts_->io; }

void AsioLoop::Run() {
  parts_->io.restart();
  parts_->io.run();
}

/// As a task: one that comes before Run is not undone by its restart.
void AsioLoop::Stop() {
  Post([this] { parts_->io.stop(); });
}

bool AsioLoop::RunUntil(absl::FunctionRef<bool()> done, Duration most) {
  const TimePoint deadline = Later(now(), most);
  parts_->io.restart();
  while (!done()) {
    const TimePoint at = now();
    if (at >= deadline || parts_->io.stopped()) return false;
    parts_->io.run_one_for(std::min<Duration>(kTurn, deadline - at));
  }
  return true;
}

void AsioLoop::Post(Task task) {
  if (parts_->closing) return;
  asio::post(parts_->io, std::move(task));
}

TimerId AsioLoop::At(TimePoint when, Task task) {
  const TimerId id = ++parts_->last_timer;
  if (parts_->closing) return id;
  parts_->timers.emplace(Parts::Due(when, id), std::move(task));
  parts_->when.emplace(id, when);
  Arm();
  return id;
}

void AsioLoop::Cancel(TimerId timer) {
  const auto found = parts_->when.find(timer);
  if (found == parts_->when.end()) return;
  const auto node = parts_->timers.extract(Parts::Due(found->second, timer));
  parts_->when.erase(found);
  // The task, and all it owns, goes here, when both tables are whole again. The alarm may ring in
  // vain.
}

void AsioLoop::Arm() {
  if (parts_->timers.empty()) return;
  const TimePoint first = parts_->timers.begin()->first.first;
  if (first >= parts_->armed || first == kNever) return;
  parts_->armed = first;
  parts_->alarm.expires_after(std::max(first - now(), Duration::zero()));
  parts_->alarm.async_wait([this](boost::system::error_code error) {
    if (!error) FireDue();
  });
}

void AsioLoop::FireDue() {
  parts_->armed = kNever;
  const TimePoint at = now();
  const TimerId last = parts_->last_timer;  // what these tasks set waits for the next turn
  while (!parts_->timers.empty()) {
    const auto first = parts_->timers.begin();
    if (first->first.first > at || first->first.second > last) break;
    Task task = std::move(first->second);
    parts_->when.erase(first->first.second);
    parts_->timers.erase(first);
    task();
  }
  Arm();
}

void AsioLoop::OnSignal(int signal, absl::AnyInvocable<void()> told) {
  parts_->signals.emplace_back(parts_->io, signal, std::move(told));
  Wait(parts_->signals.back());
}

}  // namespace rouse::control
