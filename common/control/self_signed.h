#pragma once
// What:      MakeSelfSigned: a certificate authority of one's own and a server certificate under
//            it, for servers on one machine.
// Owner:     a function. Called at start.
// Never:     for anything that others must trust: the keys live as long as the program.

#include <string>
#include <vector>

#include <absl/status/statusor.h>

#include "common/base/clock.h"

namespace rouse::control {

struct SelfSigned {
  std::string ca_pem;
  std::string certificate_pem;
  std::string key_pem;
};

/// For the given DNS names and IP addresses; good from an hour ago for a year (EC P-256).
[[nodiscard]] absl::StatusOr<SelfSigned> MakeSelfSigned(const std::vector<std::string>& names,
                                                        WallTime now);

}  // namespace rouse::control
