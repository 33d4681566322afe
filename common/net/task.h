#pragma once
// What:      Task<T>, the one coroutine type: lazy, awaited once, resumed by symmetric transfer.
//            Running is one that has been started and is awaited later; Join runs two and waits
//            for both; Detach starts one that nobody awaits, and a coroutine that nobody ever
//            awaits returns Detached itself.
// Owner:     whoever holds the Task owns the frame; a detached frame owns itself until it ends.
// Shard:     a frame lives and dies on one shard; its memory comes from that thread's FramePool.
// Invariant: never destroyed while suspended in an await of its own: cancel by closing a stream or
//            by a deadline. One `co_await` per statement, none inside conditional expressions or
//            braced lists (GCC 12). Needs -O2: below it a chain of ready awaits overflows the
//            stack.
// Never:     throws.

#include <coroutine>
#include <cstddef>
#include <optional>
#include <utility>

#include "common/base/check.h"
#include "common/base/error.h"
#include "common/net/frame_pool.h"

namespace rouse::net {

namespace internal {

/// What every promise shares: pooled frames, who waits, and the hand-over to them at the end.
struct PromiseBase {
  std::coroutine_handle<> continuation = std::noop_coroutine();

  struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <typename P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> self) const noexcept {
      return self.promise().continuation;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  [[noreturn]] void unhandled_exception() const noexcept { UNREACHABLE(); }

  static void* operator new(size_t bytes) { return FramePool::Take(bytes); }
  static void operator delete(void* frame, size_t bytes) { FramePool::Give(frame, bytes); }
};

}  // namespace internal

template <typename T>
class [[nodiscard]] Task {
 public:
  struct promise_type : internal::PromiseBase {
    std::optional<T> value;
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    template <typename U>
    void return_value(U&& result) {
      value.emplace(std::forward<U>(result));
    }
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
    handle_.promise().continuation = waiter;
    return handle_;
  }
  T await_resume() { return std::move(result()); }
  /// Once it is over.
  [[nodiscard]] T& result() {
    DCHECK(handle_.promise().value.has_value());
    return *handle_.promise().value;
  }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

class Running;

template <>
class [[nodiscard]] Task<void> {
 public:
  struct promise_type : internal::PromiseBase {
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    void return_void() const noexcept {}
  };

  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
    handle_.promise().continuation = waiter;
    return handle_;
  }
  void await_resume() const noexcept {}

 private:
  friend class Running;
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

/// A coroutine that starts at once, that nobody awaits, and that frees itself at its end. What it
/// uses must outlive it.
struct Detached {
  struct promise_type {
    Detached get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void return_void() const noexcept {}
    [[noreturn]] void unhandled_exception() const noexcept { UNREACHABLE(); }
    static void* operator new(size_t bytes) { return FramePool::Take(bytes); }
    static void operator delete(void* frame, size_t bytes) { FramePool::Give(frame, bytes); }
  };
};

namespace internal {

inline Detached RunDetached(Task<void> task) { co_await task; }

}  // namespace internal

/// Starts a task that nobody awaits; runs it at once up to its first wait. What it uses must
/// outlive it.
inline void Detach(Task<void> task) { internal::RunDetached(std::move(task)); }

/// A task that runs beside the coroutine that started it. To be awaited before it goes; where none
/// was started there is nothing to wait for.
class [[nodiscard]] Running {
 public:
  Running() = default;
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  /// Runs it at once up to its first wait. Once.
  void Start(Task<void> task) {
    task_ = std::exchange(task.handle_, nullptr);
    task_.resume();
  }
  ~Running() {
    if (task_) task_.destroy();
  }

  bool await_ready() const noexcept { return !task_ || task_.done(); }
  void await_suspend(std::coroutine_handle<> waiter) noexcept {
    task_.promise().continuation = waiter;
  }
  void await_resume() const noexcept {}

 private:
  std::coroutine_handle<Task<void>::promise_type> task_;
};

/// `const Error failure = co_await ErrorOf(task);`: a frame that waits long then keeps no room for
/// the result.
class [[nodiscard]] ErrorOf {
 public:
  explicit ErrorOf(Task<Result<void>>&& task) : task_(task) {}

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) noexcept {
    return task_.await_suspend(waiter);
  }
  Error await_resume() { return task_.result() ? Error{} : task_.result().error(); }

 private:
  Task<Result<void>>& task_;
};

/// Runs both at once; returns when both have ended. Results go through references that outlive the
/// Join.
inline Task<void> Join(Task<void> a, Task<void> b) {
  Running beside;
  beside.Start(std::move(a));
  co_await b;
  co_await beside;
}

}  // namespace rouse::net
