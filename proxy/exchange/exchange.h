#pragma once
// What:      Exchange, the life of one request: route, count as demand, get a slot, open an
//            upstream stream, forward both ways, account. Run() reads in the order of events.
//            Where another proxy is home, that one is the upstream.
// Owner:     ExchangePool (exchange_pool.h) keeps it between requests; while it runs, its own
//            coroutine.
// Shard:     one.
// Limits:    kAttemptsMax attempts, kInformationalMax 1xx heads; the deadlines of 15.3.
// Invariant: ends exactly once, in End(): downstream finished, demand left, slot freed, record
//            written.
// Never:     names a protocol.

#include <memory>
#include <optional>

#include "common/http/stream.h"
#include "common/net/shard.h"
#include "common/net/task.h"
#include "common/net/timer_wheel.h"
#include "proxy/admission/admission.h"
#include "proxy/exchange/deadlines.h"
#include "proxy/exchange/forward_headers.h"
#include "proxy/exchange/local_reply.h"
#include "proxy/exchange/retry.h"
#include "proxy/model/snapshot.h"
#include "proxy/telemetry/access_log.h"
#include "proxy/telemetry/shard_stats.h"
#include "proxy/upstream/dial.h"
#include "proxy/upstream/pool.h"

namespace rouse::proxy {

struct ExchangeOptions {
  ForwardPolicy forward;
  DialOptions dial;
  /// From the request's last byte to the response head, where the workload does not say.
  Duration response_start_timeout = std::chrono::seconds(300);
};

class Exchange;

/// What all exchanges of a shard use.
struct ExchangeContext {
  net::Shard& shard;
  Admission& admission;
  Pool& pool;
  AccessLog& access_log;
  ShardStats& stats;
  const ExchangeOptions& options;
  SnapshotPtr snapshot;
  RetryBudget retries;
  size_t active = 0;
  /// Responses say that the connection ends.
  bool draining = false;
  /// Somebody can be asked to wake a workload, or is told by other means (static endpoints).
  bool can_wake = true;
  /// Asks other shards to close an idle connection to this endpoint (15.6).
  absl::AnyInvocable<void(const std::shared_ptr<EndpointSlots>&)> make_place;
  /// An exchange is over and may be used again.
  absl::AnyInvocable<void(Exchange&)> retire;
};

class Exchange {
 public:
  explicit Exchange(ExchangeContext& context);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  /// A request; runs up to its first wait, at once or behind the turn's other events.
  void Start(http::ServerStream& downstream);
  /// One that another proxy has forwarded to us, as its home.
  void StartHopped(http::ServerStream& downstream);
  /// A message that was refused before it became a request.
  void StartRefused(http::ServerStream& downstream, const Error& error);
  /// A request that came in the clear where TLS is wanted: answered with its https address.
  void StartRedirect(http::ServerStream& downstream, uint16_t port);
  /// Ends it soon, whatever it waits for: the end of a drain.
  void Abort(const Error& error);

  Exchange* next = nullptr;  ///< of the pool's lists
  Exchange* previous = nullptr;

 private:
  using Step = http::Step;
  /// Closes the exchange when Run's frame goes, after everything else in it.
  struct Ending {
    Exchange& exchange;
    ~Ending() { exchange.End(); }
  };

  struct Pooled {
    static void* operator new(size_t bytes) { return net::FramePool::Take(bytes); }
    static void operator delete(void* object, size_t bytes) { net::FramePool::Give(object, bytes); }
  };
  /// Few requests have one: those whose body did not go out with the head.
  struct ResponseTimer : net::Timer, Pooled {
    using net::Timer::Timer;
  };
  struct ColdStart : ColdStartTimes, Pooled {};

  void Begin(http::ServerStream& downstream);
  net::Detached Run();
  net::Detached RunRefused(Error error);
  net::Detached RunRedirect(uint16_t port);
  Error Route();
  [[nodiscard]] bool AnswersItself() const;

  [[nodiscard]] Acquiring Park(Slot& slot);
  net::Task<void> Dial(const Slot& slot);
  [[nodiscard]] UpstreamProtocol ProtocolFor(const Endpoint& endpoint) const;
  net::Task<bool> WaitForPlace(LocalEndpoint& endpoint, TimePoint deadline);

  net::Task<void> Hop();
  [[nodiscard]] bool SeeksHome();
  net::Task<void> WaitForHome();
  [[nodiscard]] Error MayHop() const;
  [[nodiscard]] Step SendHopRequest();
  [[nodiscard]] static bool SaysNotHome(const http::ResponseHead& head);

  [[nodiscard]] net::Task<void> Forward();
  [[nodiscard]] Step SendRequest();
  Error BeginAttempt(const Slot& slot);
  Error ReadFirstPiece();
  net::Task<void> Upload();
  net::Task<void> UploadBehindFlush();
  void EndUpload(const Error& failure);
  void StopUpload();
  [[nodiscard]] const http::ResponseHead* TakeHead();
  [[nodiscard]] bool TryRespond(const http::ResponseHead& head);
  net::Task<void> RespondRest(const http::ResponseHead& head);
  net::Task<void> RespondBody();
  net::Task<void> RespondBehindFlush();
  net::Task<void> Upgrade(const http::ResponseHead& head);
  [[nodiscard]] Step SendUpgrade(const http::ResponseHead& head);
  void Relay(const http::ResponseHead& head);
  void PatchAnswer(const http::ResponseHead& head, http::HeadPatch& patch);
  [[nodiscard]] TimePoint ResponseStartBy() const;
  [[nodiscard]] Error Judge(Error error) const;
  [[nodiscard]] bool Repeats(const Slot& slot);
  [[nodiscard]] bool was_parked() const { return cold_ && cold_->was_parked(); }
  void AddColdStartFields(http::HeadPatch& patch);

  net::Task<void> Refuse();
  net::Task<void> AnswerOptions();
  net::Task<void> SendReply(LocalReply& reply);
  void End();
  void Record();
  void CountColdStart();

  static void OnClientGone(void* self);
  static void OnUploaded(void* self, const Error& failure);
  static void OnResponded(void* self, const Error& failure);
  static void OnResponseLate(void* self);

  ExchangeContext& context_;
  http::ServerStream* downstream_ = nullptr;
  Pool::Lease upstream_;
  WorkloadRef workload_;
  std::string_view request_id_;
  TimePoint arrival_{};
  Deadlines deadlines_;
  std::unique_ptr<ColdStart> cold_;                ///< where there was no slot at once
  std::unique_ptr<ResponseTimer> response_timer_;  ///< while an answer may be late
  http::Piece first_;  ///< read and not yet given to an upstream for good
  const LocalEndpoint* avoid_ = nullptr;
  EndpointRef endpoint_;  ///< of the last attempt
  Error error_;           ///< how the last attempt failed, and in the end how all did
  Error upload_error_;
  int status_ = 0;
  uint8_t attempts_ = 0;  ///< at most kAttemptsMax
  bool first_read_ = false;
  bool body_given_ = false;  ///< beyond the first piece
  bool response_begun_ = false;
  bool repeated_fresh_ = false;
  bool repeating_ = false;  ///< holds a part of the retry budget
  bool upload_over_ = false;
  bool last_sent_ = false;  ///< the response's end went out with its head
  bool unsent_ = false;     ///< a part of that waits for the client
  bool tunnel_ = false;
  bool hopped_ = false;   ///< came from another proxy
  bool hopping_ = false;  ///< goes to another proxy
  bool cut_ = false;      ///< the client's connection is to end without a clean end
  ValueStore values_;
};

}  // namespace rouse::proxy
