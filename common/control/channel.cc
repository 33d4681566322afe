#include "common/control/channel.h"

#include <absl/strings/match.h>

namespace rouse::control {

std::optional<std::string_view> FindHeader(const Headers& headers, std::string_view name) {
  for (const Header& header : headers) {
    if (header.name.size() == name.size() &&
        absl::EqualsIgnoreCase({header.name.data(), header.name.size()},
                               {name.data(), name.size()})) {
      return header.value;
    }
  }
  return std::nullopt;
}

}  // namespace rouse::control
