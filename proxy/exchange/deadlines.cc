#include "proxy/exchange/deadlines.h"

#include <algorithm>
#include <charconv>

namespace rouse::proxy {
namespace {

using http::HeaderId;

/// Cuts leading digits off; nullopt unless there are 1 to `most`.
std::optional<int64_t> TakeDigits(std::string_view& text, size_t most) {
  int64_t number = 0;
  const char* const end = text.data() + std::min(text.size(), most);
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || number < 0 || text.front() == '-') return std::nullopt;
  text.remove_prefix(static_cast<size_t>(at - text.data()));
  return number;
}

TimePoint ClientDeadline(const http::RequestHead& head, HeaderId id,
                         std::optional<Duration> (*parse)(std::string_view), TimePoint arrival) {
  if (!head.fields.has(id)) return kNever;
  const std::optional<Duration> timeout = parse(head.fields.Find(id).value_or(""));
  return timeout ? Later(arrival, *timeout) : kNever;
}

Duration Left(TimePoint deadline, TimePoint now) {
  if (deadline == kNever) return Duration::zero();
  return std::max<Duration>(deadline - now, std::chrono::microseconds(1));
}

}  // namespace

RemainingTime Deadlines::Remaining(TimePoint now) const {
  return {.grpc = Left(grpc, now), .request = Left(request, now), .envoy = Left(envoy, now)};
}

Deadlines DeadlinesOf(const http::RequestHead& head, const WorkloadPolicy& policy,
                      TimePoint arrival, bool trusted) {
  Deadlines deadlines;
  deadlines.hold = Later(arrival, policy.hold_timeout);
  deadlines.grpc = ClientDeadline(head, HeaderId::kGrpcTimeout, &ParseGrpcTimeout, arrival);
  deadlines.request =
      ClientDeadline(head, HeaderId::kXRequestTimeout, &ParseRequestTimeout, arrival);
  if (trusted)
    deadlines.envoy = ClientDeadline(head, HeaderId::kXEnvoyTimeout, &ParseEnvoyTimeout, arrival);
  deadlines.exchange = std::min({deadlines.grpc, deadlines.request, deadlines.envoy});
  if (policy.request_timeout > Duration::zero())
    deadlines.exchange = std::min(deadlines.exchange, Later(arrival, policy.request_timeout));
  return deadlines;
}

std::optional<Duration> ParseGrpcTimeout(std::string_view text) {
  constexpr size_t kDigitsMost = 8;
  const std::optional<int64_t> number = TakeDigits(text, kDigitsMost);
  if (!number || text.size() != 1) return std::nullopt;
  using namespace std::chrono;
  switch (text.front()) {
    case 'H':
      return hours(std::min<int64_t>(*number, 1'000'000));
    case 'M':
      return minutes(*number);
    case 'S':
      return seconds(*number);
    case 'm':
      return milliseconds(*number);
    case 'u':
      return microseconds(*number);
    case 'n':
      return nanoseconds(*number);
    default:
      return std::nullopt;
  }
}

std::optional<Duration> ParseRequestTimeout(std::string_view text) {
  constexpr size_t kDigitsMost = 9;
  const std::optional<int64_t> number = TakeDigits(text, kDigitsMost);
  if (!number) return std::nullopt;
  using namespace std::chrono;
  if (text.empty() || text == "s") return seconds(*number);
  if (text == "ms") return milliseconds(*number);
  if (text == "m") return minutes(std::min<int64_t>(*number, 60'000'000));
  return std::nullopt;
}

std::optional<Duration> ParseEnvoyTimeout(std::string_view text) {
  constexpr size_t kDigitsMost = 9;
  const std::optional<int64_t> number = TakeDigits(text, kDigitsMost);
  if (!number || *number == 0 || !text.empty()) return std::nullopt;
  return std::chrono::milliseconds(*number);
}

}  // namespace rouse::proxy
