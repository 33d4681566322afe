#pragma once
// What:      BufferPool, fixed blocks of two sizes, LIFO, with a limit per shard; Block, one of
//            them on loan.
// Owner:     the shard owns the pool; a Block gives itself back. One shard.
// Limits:    bytes_max over both sizes; beyond it Take returns an empty Block and the caller
//            refuses (503).
// Invariant: loaned() + idle bytes <= bytes_max. An idle connection holds no block.

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace rouse::net {

class BufferPool;

class Block {
 public:
  Block() = default;
  Block(Block&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)), data_(std::exchange(other.data_, {})) {}
  Block& operator=(Block&& other) noexcept {
    if (this != &other) {
      Release();
      pool_ = std::exchange(other.pool_, nullptr);
      data_ = std::exchange(other.data_, {});
    }
    return *this;
  }
  ~Block() { Release(); }

  [[nodiscard]] explicit operator bool() const { return !data_.empty(); }
  [[nodiscard]] std::span<char> span() const { return data_; }
  [[nodiscard]] char* data() const { return data_.data(); }
  [[nodiscard]] size_t size() const { return data_.size(); }
  void Release();

 private:
  friend class BufferPool;
  Block(BufferPool* pool, std::span<char> data) : pool_(pool), data_(data) {}
  BufferPool* pool_ = nullptr;
  std::span<char> data_;
};

class BufferPool {
 public:
  /// A head, and the first bytes of a body: with one of 16 KiB, the usual page of servers, it comes
  /// in one read.
  static constexpr size_t kSmall = 20 * 1024;
  /// The flow of a long body; also the largest head (64 KiB plus room).
  static constexpr size_t kLarge = 80 * 1024;

  explicit BufferPool(size_t bytes_max) : bytes_max_(bytes_max) {}
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  [[nodiscard]] Block TakeSmall() { return Take(small_, kSmall); }
  [[nodiscard]] Block TakeLarge() { return Take(large_, kLarge); }
  [[nodiscard]] size_t loaned_bytes() const { return loaned_; }
  /// Heap allocations so far.
  [[nodiscard]] size_t allocations() const { return allocations_; }

 private:
  friend class Block;
  Block Take(std::vector<char*>& idle, size_t size);
  void Give(std::span<char> data);

  size_t bytes_max_;
  size_t held_ = 0;  ///< on loan and idle
  size_t loaned_ = 0;
  size_t allocations_ = 0;
  std::vector<char*> small_;
  std::vector<char*> large_;
};

}  // namespace rouse::net
