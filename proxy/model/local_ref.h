#pragma once
// What:      LocalRef<T>, a counted reference within one shard; LocalCounted<T>, what T derives
//            from.
// Owner:     whoever holds a LocalRef; the last one deletes the T.
// Shard:     one: the count is a plain number. Never crosses threads.
// Invariant: a T with references is at a fixed address.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "common/base/check.h"

namespace rouse::proxy {

template <typename T>
class LocalRef {
 public:
  LocalRef() = default;
  explicit LocalRef(T* target) : target_(target) { Take(); }
  LocalRef(const LocalRef& other) : target_(other.target_) { Take(); }
  LocalRef(LocalRef&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  LocalRef& operator=(LocalRef other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~LocalRef() { Drop(); }

  [[nodiscard]] T* get() const { return target_; }
  T& operator*() const { return *target_; }
  T* operator->() const { return target_; }
  [[nodiscard]] explicit operator bool() const { return target_ != nullptr; }
  bool operator==(const LocalRef&) const = default;
  void Reset() {
    Drop();
    target_ = nullptr;
  }

 private:
  void Take() {
    if (target_ != nullptr) ++target_->references_;
  }
  void Drop() {
    if (target_ != nullptr && --target_->references_ == 0) delete target_;
  }
  T* target_ = nullptr;
};

template <typename T, typename... Args>
[[nodiscard]] LocalRef<T> MakeLocal(Args&&... args) {
  return LocalRef<T>(std::make_unique<T>(std::forward<Args>(args)...).release());
}

template <typename T>
class LocalCounted {
 public:
  LocalCounted() = default;
  LocalCounted(const LocalCounted&) = delete;
  LocalCounted& operator=(const LocalCounted&) = delete;
  [[nodiscard]] uint32_t references() const { return references_; }

 protected:
  ~LocalCounted() { DCHECK(references_ == 0); }

 private:
  friend class LocalRef<T>;
  uint32_t references_ = 0;
};

}  // namespace rouse::proxy
