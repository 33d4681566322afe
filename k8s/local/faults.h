#pragma once
// What:      Faults, what tests make the API server do wrong: answers, delays, silence, cut
//            watches, lists it does not stream, lost history, and being down.
// Owner:     ApiServer. Control thread.
// Limits:    kFaultRulesMax rules; each fault with a duration ends by itself.
// Invariant: Clear() undoes all that still lasts.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/functional/any_invocable.h>

#include "common/control/channel.h"
#include "k8s/local/api_error.h"
#include "k8s/local/json.h"

namespace rouse::k8s::local {

inline constexpr size_t kFaultRulesMax = 64;

/// What becomes of a watch with sendInitialEvents.
enum class StreamedLists : uint8_t {
  kServe,
  kRefuse,  ///< 422, as servers answer that have WatchList switched off
  kIgnore,  ///< as servers do that came before it: an ordinary watch, without the end's bookmark
};

/// What the server lends to its faults.
struct FaultHooks {
  absl::AnyInvocable<void()> cut_watches;
  absl::AnyInvocable<void()> forget_history;
  absl::AnyInvocable<void(bool silent)> set_silent;
  absl::AnyInvocable<void(bool down)> set_down;
  absl::AnyInvocable<void(StreamedLists)> set_streamed_lists;
};

class Faults {
 public:
  Faults(control::Loop& loop, FaultHooks hooks);
  ~Faults();

  /// Adds what `spec` describes (k8s/local/README.md has the table); an error names the wrong
  /// member.
  [[nodiscard]] ApiError Add(const Json& spec);
  void Clear();
  /// What lasts, as JSON.
  [[nodiscard]] std::string Text() const;

  /// The answer to give instead of serving, if any; counts it.
  [[nodiscard]] std::optional<ApiError> AnswerFor(std::string_view path);
  [[nodiscard]] Duration DelayFor(std::string_view path) const;
  [[nodiscard]] bool silent() const { return silent_timer_ != 0; }
  [[nodiscard]] uint64_t answered() const { return answered_; }

 private:
  struct Answer {
    int status = 500;
    int retry_after = 0;
    int64_t left = -1;  ///< -1: until cleared
    std::string path;
  };
  struct Delay {
    Duration duration{};
    std::string path;
  };

  [[nodiscard]] ApiError AddAnswer(const Json& spec);
  [[nodiscard]] ApiError AddDelay(const Json& spec);
  [[nodiscard]] ApiError SetStreamedLists(std::string_view mode);
  void CutEvery(Duration interval);
  void GoSilent(Duration duration);
  void GoDown(Duration duration);

  control::Loop& loop_;
  FaultHooks hooks_;
  std::vector<Answer> answers_;
  std::vector<Delay> delays_;
  Duration cut_interval_{};
  control::TimerId cut_timer_ = 0;
  control::TimerId silent_timer_ = 0;
  control::TimerId down_timer_ = 0;
  uint64_t answered_ = 0;
};

}  // namespace rouse::k8s::local
