#pragma once
// What:      the names of every event that rouse-autoscaler logs; levels are at the call.
// Owner:     constants. Any thread.

#include <string_view>

namespace rouse::autoscaler::log_event {

inline constexpr std::string_view kStarted = "autoscaler_started";
inline constexpr std::string_view kClusterUnknown = "cluster_unknown";
inline constexpr std::string_view kStopping = "autoscaler_stopping";
inline constexpr std::string_view kLeading = "leading";
inline constexpr std::string_view kFollowing = "following";
inline constexpr std::string_view kDecision = "decision";
inline constexpr std::string_view kScaleWritten = "scale_written";
inline constexpr std::string_view kScaleRefused = "scale_refused";
inline constexpr std::string_view kScaleFailed = "scale_failed";
inline constexpr std::string_view kWorkloadAdded = "workload_added";
inline constexpr std::string_view kWorkloadRemoved = "workload_removed";
inline constexpr std::string_view kWorkloadShared = "workload_shares_target";
inline constexpr std::string_view kRivalFound = "left_to_hpa";
inline constexpr std::string_view kRivalGone = "hpa_gone";
inline constexpr std::string_view kPolicyInvalid = "policy_invalid";
inline constexpr std::string_view kSenderConnected = "sender_connected";
inline constexpr std::string_view kSenderGone = "sender_gone";
inline constexpr std::string_view kReportMalformed = "report_malformed";
inline constexpr std::string_view kIntakeRefused = "intake_refused";

}  // namespace rouse::autoscaler::log_event
