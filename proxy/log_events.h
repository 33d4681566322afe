#pragma once
// What:  the names of rouse-proxy's log lines, in one place.
// Owner: nobody; constants.

#include <string_view>

namespace rouse::proxy::log_event {

inline constexpr std::string_view kConfigRead = "config_read";
inline constexpr std::string_view kConfigRefused = "config_refused";
inline constexpr std::string_view kClusterUnknown = "cluster_unknown";
inline constexpr std::string_view kListening = "listening";
inline constexpr std::string_view kStarted = "started";
inline constexpr std::string_view kCertificateTaken = "certificate_taken";
inline constexpr std::string_view kCertificateRefused = "certificate_refused";
inline constexpr std::string_view kTicketSeed = "ticket_seed";
inline constexpr std::string_view kClientRefused = "client_refused";
inline constexpr std::string_view kDraining = "draining";

}  // namespace rouse::proxy::log_event
