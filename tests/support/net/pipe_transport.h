#pragma once
// What:      PipeTransport, one end of a connection in memory that behaves as TCP may at its worst.
// Owner:     as Transport. Both ends live on shards of one thread (SimShards).
// Limits:    PipeOptions::window bytes written and not yet read, per direction.
// Invariant: the same seed gives the same splits, delays and faults. Bytes arrive in order; nothing
//            runs inline: the other end learns through its shard's inbox or timers.

#include <deque>
#include <memory>
#include <string>

#include "common/base/random.h"
#include "common/net/shard.h"
#include "common/net/transport.h"

namespace rouse::net::testing {

/// What happens to the bytes that one end sends.
struct PipeFaults {
  /// Writes take, and deliveries bring, only part of what they could.
  bool split = false;
  /// Each write arrives after up to this long.
  Duration delay_most = Duration::zero();
  /// How likely a write has one bit flipped.
  double corrupt = 0;
  /// After so many bytes have been sent: FIN, or reset of the whole connection.
  size_t fin_after = SIZE_MAX;
  size_t reset_after = SIZE_MAX;
};

struct PipeOptions {
  uint64_t seed = 1;
  size_t window = 64 * 1024;
  PipeFaults from_first = {};
  PipeFaults from_second = {};
};

class PipeTransport final : public Transport {
 private:
  /// The two ends, for messages that may find one of them gone.
  struct Wire {
    PipeTransport* ends[2] = {};
  };

 public:
  struct Pair {
    std::unique_ptr<PipeTransport> first;
    std::unique_ptr<PipeTransport> second;
  };
  [[nodiscard]] static Pair Make(Shard& first, Shard& second, const PipeOptions& options);
  /// Through Make.
  PipeTransport(Shard& shard, std::shared_ptr<Wire> wire, size_t side, uint64_t seed, size_t window,
                PipeFaults faults);
  ~PipeTransport() override;

  IoResult Read(std::span<char> into) override;
  IoResult Write(std::span<const std::string_view> parts) override;
  void ShutdownWrite() override;
  void Close(bool reset) override;

  std::string_view peer_address() const override { return "192.0.2.1"; }
  uint16_t peer_port() const override { return 40000; }
  uint16_t local_port() const override { return 8080; }

  [[nodiscard]] uint64_t bytes_written() const { return written_; }
  [[nodiscard]] uint64_t bytes_read() const { return read_; }
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  struct Chunk {
    TimePoint arrival;
    bool split = false;
    std::string bytes;
  };

  [[nodiscard]] PipeTransport* peer() const { return wire_->ends[1 - side_]; }
  void Accept(Chunk chunk);
  void AcceptFin();
  void AcceptReset();
  void Deliver();
  void DeliverLater();
  void TellWriterOfRoom();

  Shard& shard_;
  std::shared_ptr<Wire> wire_;
  size_t side_;
  Random random_;
  size_t window_;
  PipeFaults faults_;
  Timer arrival_timer_;
  TimePoint last_arrival_{};
  std::deque<Chunk> under_way_;  ///< towards us
  std::string arrived_;
  size_t unread_ = 0;  ///< under way and arrived
  bool fin_under_way_ = false;
  bool fin_arrived_ = false;
  bool fin_sent_ = false;
  bool closed_ = false;
  bool room_wanted_ = false;  ///< the writer at the other end waits for us to read
  uint64_t written_ = 0;
  uint64_t read_ = 0;
};

}  // namespace rouse::net::testing
