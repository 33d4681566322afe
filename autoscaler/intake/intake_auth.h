#pragma once
// What:      IntakeAuth, who may report: anybody, or whoever shows the bearer token of a file.
// Owner:     intake_server. Control thread.
// Limits:    the file is read again kReadEvery at most, so a rotated token counts within that time.
// Invariant: with a file, an unreadable or empty one admits nobody; the comparison takes the same
//            time for every wrong token of one length.
// Never:     logs a token.

#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "k8s/credentials.h"

namespace rouse::autoscaler {

class IntakeAuth {
 public:
  static constexpr Duration kReadEvery = std::chrono::seconds(10);

  /// An empty `token_file` admits everybody.
  explicit IntakeAuth(std::string token_file, k8s::FileReader read = k8s::ReadSmallFile)
      : token_file_(std::move(token_file)), read_(std::move(read)) {}

  /// `authorization` is the header's value.
  [[nodiscard]] bool Admits(std::optional<std::string_view> authorization, TimePoint now);

 private:
  void ReadIfDue(TimePoint now);

  std::string token_file_;
  k8s::FileReader read_;
  std::string token_;
  std::optional<TimePoint> read_at_;
};

}  // namespace rouse::autoscaler
