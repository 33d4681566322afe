#include "k8s/local/faults.h"

#include <algorithm>
#include <array>

#include <absl/strings/str_cat.h>
#include <absl/time/time.h>
#include <boost/json.hpp>

namespace rouse::k8s::local {

namespace json = boost::json;

namespace {

constexpr Duration kDownAfter = std::chrono::milliseconds(5);

constexpr std::array<std::string_view, 8> kMembers = {
    "cutWatches", "cutWatchesEvery", "answer", "delay",
    "silent",     "forgetHistory",   "down",   "streamedLists"};

/// `1s`, `250ms`; nullopt where it is anything else or not positive.
std::optional<Duration> DurationAt(const Json& value, JsonPath path) {
  const std::string text = TextAt(value, path);
  absl::Duration parsed;
  if (!absl::ParseDuration({text.data(), text.size()}, &parsed)) return std::nullopt;
  if (parsed <= absl::ZeroDuration() || parsed > absl::Hours(24)) return std::nullopt;
  return absl::ToChronoNanoseconds(parsed);
}

ApiError WantsDuration(std::string_view member) {
  return BadRequest(
      absl::StrCat(std::string(member), " needs a duration such as 500ms or 2s, at most 24h"));
}

}  // namespace

Faults::Faults(control::Loop& loop, FaultHooks hooks) : loop_(loop), hooks_(std::move(hooks)) {}

Faults::~Faults() {
  loop_.Cancel(cut_timer_);
  loop_.Cancel(silent_timer_);
  loop_.Cancel(down_timer_);
}

ApiError Faults::Add(const Json& spec) {
  if (!spec.is_object()) return BadRequest("a fault is an object");
  for (const json::key_value_pair& member : spec.get_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    if (std::find(kMembers.begin(), kMembers.end(), key) == kMembers.end()) {
      return BadRequest(absl::StrCat("unknown fault \"", std::string(key), "\""));
    }
  }
  if (Find(spec, {"answer"}) != nullptr) {
    if (ApiError error = AddAnswer(*Find(spec, {"answer"})); !error.ok()) return error;
  }
  if (Find(spec, {"delay"}) != nullptr) {
    if (ApiError error = AddDelay(*Find(spec, {"delay"})); !error.ok()) return error;
  }
  if (Find(spec, {"cutWatchesEvery"}) != nullptr) {
    const std::optional<Duration> interval = DurationAt(spec, {"cutWatchesEvery"});
    if (!interval) return WantsDuration("cutWatchesEvery");
    CutEvery(*interval);
  }
  if (Find(spec, {"streamedLists"}) != nullptr) {
    ApiError error = SetStreamedLists(TextAt(spec, {"streamedLists"}));
    if (!error.ok()) return error;
  }
  if (FlagAt(spec, {"forgetHistory"})) hooks_.forget_history();
  if (FlagAt(spec, {"cutWatches"})) hooks_.cut_watches();
  if (Find(spec, {"silent"}) != nullptr) {
    const std::optional<Duration> duration = DurationAt(spec, {"silent", "duration"});
    if (!duration) return WantsDuration("silent.duration");
    GoSilent(*duration);
  }
  if (Find(spec, {"down"}) != nullptr) {
    const std::optional<Duration> duration = DurationAt(spec, {"down", "duration"});
    if (!duration) return WantsDuration("down.duration");
    GoDown(*duration);
  }
  return {};
}

ApiError Faults::AddAnswer(const Json& spec) {
  if (answers_.size() >= kFaultRulesMax) return BadRequest("too many faults; DELETE clears them");
  Answer answer;
  answer.status = static_cast<int>(NumberAt(spec, {"status"}, 0));
  if (answer.status < 400 || answer.status > 599) {
    return BadRequest("answer.status must be between 400 and 599");
  }
  answer.retry_after = static_cast<int>(NumberAt(spec, {"retryAfter"}, 0));
  answer.left = NumberAt(spec, {"count"}, -1);
  answer.path = TextAt(spec, {"path"}, "/api");
  answers_.push_back(std::move(answer));
  return {};
}

ApiError Faults::AddDelay(const Json& spec) {
  if (delays_.size() >= kFaultRulesMax) return BadRequest("too many faults; DELETE clears them");
  const std::optional<Duration> duration = DurationAt(spec, {"duration"});
  if (!duration) return WantsDuration("delay.duration");
  delays_.push_back({*duration, TextAt(spec, {"path"}, "/api")});
  return {};
}

ApiError Faults::SetStreamedLists(std::string_view mode) {
  if (mode == "serve") {
    hooks_.set_streamed_lists(StreamedLists::kServe);
  } else if (mode == "refuse") {
    hooks_.set_streamed_lists(StreamedLists::kRefuse);
  } else if (mode == "ignore") {
    hooks_.set_streamed_lists(StreamedLists::kIgnore);
  } else {
    return BadRequest("streamedLists is serve, refuse or ignore");
  }
  return {};
}

void Faults::CutEvery(Duration interval) {
  loop_.Cancel(cut_timer_);
  cut_interval_ = interval;
  cut_timer_ = loop_.At(Later(loop_.now(), interval), [this] {
    hooks_.cut_watches();
    CutEvery(cut_interval_);
  });
}

void Faults::GoSilent(Duration duration) {
  loop_.Cancel(silent_timer_);
  silent_timer_ = loop_.At(Later(loop_.now(), duration), [this] {
    silent_timer_ = 0;
    hooks_.set_silent(false);
  });
  hooks_.set_silent(true);
}

/// Begins a moment later, so that the answer to whoever asked for it gets out.
void Faults::GoDown(Duration duration) {
  loop_.Cancel(down_timer_);
  down_timer_ = loop_.At(Later(loop_.now(), kDownAfter), [this, duration] {
    hooks_.set_down(true);
    down_timer_ = loop_.At(Later(loop_.now(), duration), [this] {
      down_timer_ = 0;
      hooks_.set_down(false);
    });
  });
}

void Faults::Clear() {
  answers_.clear();
  delays_.clear();
  hooks_.set_streamed_lists(StreamedLists::kServe);
  cut_interval_ = Duration::zero();
  loop_.Cancel(std::exchange(cut_timer_, 0));
  loop_.Cancel(silent_timer_);
  if (std::exchange(silent_timer_, 0) != 0) hooks_.set_silent(false);
  loop_.Cancel(down_timer_);
  if (std::exchange(down_timer_, 0) != 0) hooks_.set_down(false);
}

std::optional<ApiError> Faults::AnswerFor(std::string_view path) {
  for (auto answer = answers_.begin(); answer != answers_.end(); ++answer) {
    if (!path.starts_with(answer->path)) continue;
    ApiError error = ErrorOfCode(answer->status, answer->retry_after);
    ++answered_;
    if (answer->left == 1) {
      answers_.erase(answer);
    } else if (answer->left > 0) {
      --answer->left;
    }
    return error;
  }
  return std::nullopt;
}

Duration Faults::DelayFor(std::string_view path) const {
  Duration most{};
  for (const Delay& delay : delays_) {
    if (path.starts_with(delay.path)) most = std::max(most, delay.duration);
  }
  return most;
}

std::string Faults::Text() const {
  json::array answers;
  for (const Answer& answer : answers_) {
    answers.push_back(json::object{{"status", answer.status},
                                   {"retryAfter", answer.retry_after},
                                   {"count", answer.left},
                                   {"path", answer.path}});
  }
  json::array delays;
  for (const Delay& delay : delays_) {
    delays.push_back(json::object{{"duration", absl::StrCat(Milliseconds(delay.duration), "ms")},
                                  {"path", delay.path}});
  }
  return json::serialize(
      json::object{{"answers", std::move(answers)},
                   {"delays", std::move(delays)},
                   {"cutWatchesEvery", absl::StrCat(Milliseconds(cut_interval_), "ms")},
                   {"silent", silent_timer_ != 0},
                   {"down", down_timer_ != 0},
                   {"answered", answered_}});
}

}  // namespace rouse::k8s::local
